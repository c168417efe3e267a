"""Rows of a PPDB that are not released: a group sees them, and others learn nothing of them, by no replay."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from psycopg import sql

from ppdb_replay import Replayer, Request, capture, query_at, replay, verify_record
from ppdb_replay.derived import PpdbTables
from ppdb_replay.errors import NotReleasedError, ReleaseRuleError, VersioningError
from ppdb_replay.replaying.recipe import Recipe
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.tables import read_schema, with_system_columns, with_timestamps
from ppdb_replay.versions.check import check
from ppdb_replay.versions.columns import add_column, drop_column
from ppdb_replay.versions.install import create_tables, install, uninstall
from ppdb_replay.versions.release_rules import read_rules, rules_for, set_release
from ppdb_replay.versions.versioned_table import read_versioned_tables
from tapdb.cli.root import main
from tapdb.postgres.catalog import describe, diff
from tapdb.server.environment import client_environment
from tapdb.sources import execute_text, read_current
from tests.plugins.web_fixtures import insert
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, newest

HOURS = 80.0
ROLE = "tapdb_test_team"
OLD, FRESH = 10.0, 0.1
"""Days since the observation: one is released, the other is not."""
UNDATED = ("mpc_orbits", "current_identifications", "numbered_identifications")


@dataclass(frozen=True)
class Held:
    """A PPDB whose newest rows are held back."""

    url: sa.URL
    now: float

    @contextmanager
    def session(self, role: str | None = None) -> Iterator[psycopg.Connection[Any]]:
        """Give a session of a role: the group's, or the readers'."""
        with connect(self.url, autocommit=True) as connection:
            if role is not None:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            yield connection

    def rows(self, role: str, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a natural query, as a role sees them."""
        with self.session(role) as connection:
            return capture(connection, query).rows

    def record(self, role: str, query: str, request: Request | None = None) -> ReplayRecord:
        """Return the record of a natural query of a role."""
        with self.session(role) as connection:
            return Replayer(connection).capture(query, request or Request()).record

    def run(self, *arguments: str) -> Result:
        """Run ``tapdb ppdb release``."""
        return CliRunner().invoke(main, ["ppdb", "release", *arguments], env=client_environment(self.url))


def fill(url: sa.URL, now: float, ages: tuple[float, ...]) -> None:
    """Write a night for each age in days: a source, a forced source and a version of one object."""
    with engine_connection(url) as connection:
        insert(connection, "mpc_orbits", id=1)
        insert(connection, "SSObject", ssObjectId=1)
    for number, age in enumerate(ages, 1):
        seen = now - age
        with engine_connection(url) as connection:
            place = {"ra": 10.0 + number, "dec": -5.0}
            insert(
                connection,
                "DiaSource",
                diaSourceId=number,
                visit=number,
                detector=1,
                midpointMjdTai=seen,
                diaObjectId=1,
                psfFlux=100.0 * number,
                **place,
            )
            insert(
                connection, "DiaForcedSource", diaObjectId=1, visit=number, detector=1, midpointMjdTai=seen
            )
            insert(connection, "SSSource", diaSourceId=number, ssObjectId=1)
            connection.execute(
                sa.text(
                    'UPDATE ppdb."DiaObject" SET "validityEndMjdTai" = :at WHERE "validityEndMjdTai" IS NULL'
                ),
                {"at": seen},
            )
            insert(
                connection, "DiaObject", diaObjectId=1, validityStartMjdTai=seen, nDiaSources=number, **place
            )


@pytest.fixture(scope="module")
def now(ppdb_template: str, clone_for_session: Callable[[str], sa.URL]) -> float:
    with connect(clone_for_session(ppdb_template)) as connection:
        row = connection.execute("SELECT tapdb.mjd_tai(now())").fetchone()
    assert row is not None
    return float(row[0])


@pytest.fixture(scope="module")
def held_template(
    ppdb_template: str, clone_for_session: Callable[[str], sa.URL], now: float
) -> Iterator[Held]:
    held = Held(clone_for_session(ppdb_template), now)
    fill(held.url, now, (OLD + 2, OLD, FRESH + 0.1, FRESH))
    with connect(held.url, autocommit=True) as connection:
        connection.execute(
            f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE} NOLOGIN; GRANT tapdb_reader TO {ROLE}"
        )
    done = held.run("set", "--hours", str(HOURS), "--reader", ROLE, *(f"--public={one}" for one in UNDATED))
    assert done.exit_code == 0, done.output
    yield held
    with connect(held.url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {ROLE}")


@pytest.fixture
def held(held_template: Held, clone_database: Callable[[str], sa.URL]) -> Held:
    """Return such a database of a test's own."""
    return Held(clone_database(str(held_template.url.database)), held_template.now)


TABLES = {
    "DiaSource": (2, 4),
    "DiaForcedSource": (2, 4),
    "DiaObject": (2, 4),
    "SSSource": (2, 4),
    # No time of an observation, and no rule that lets it be seen.
    "SSObject": (0, 1),
    "mpc_orbits": (1, 1),
}


@pytest.mark.parametrize("table", TABLES)
def test_the_group_sees_all_rows_and_others_those_that_are_released(held_template: Held, table: str) -> None:
    query = f"SELECT COUNT(*) AS n FROM ppdb.{table}"  # noqa: S608
    counts = tuple(held_template.rows(role, query)[0][0] for role in ("tapdb_reader", ROLE))
    assert counts == TABLES[table]
    history = query.replace("ppdb.", "ppdb_history.")
    shown = held_template.rows("tapdb_reader", history)[0][0]
    assert shown <= held_template.rows(ROLE, history)[0][0]
    assert (shown == 0) == (counts[0] == 0)


QUERIES = (
    "SELECT * FROM DiaSource",
    "SELECT diaObjectId, validityStartMjdTai, validityEndMjdTai, nDiaSources FROM DiaObject",
    "SELECT diaObjectId, nDiaSources FROM DiaObject WHERE validityEndMjdTai IS NULL",
    "SELECT MAX(midpointMjdTai) AS newest, COUNT(*) AS n, SUM(psfFlux) AS s FROM DiaSource",
    "SELECT nDiaSources, psfFlux FROM DiaObject AS o JOIN DiaSource AS s ON s.diaObjectId = o.diaObjectId",
    "SELECT diaSourceId FROM DiaSource WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(12, -5, 3))",
    "SELECT diaSourceId FROM DiaSource WHERE psfFlux / (diaSourceId + 1) > 0",
    "SELECT ss.diaSourceId FROM SSSource AS ss LEFT JOIN DiaSource AS s ON s.diaSourceId = ss.diaSourceId",
    "SELECT TOP 1 visit FROM DiaForcedSource ORDER BY midpointMjdTai DESC",
)


@pytest.fixture(scope="module")
def released_only(ppdb_template: str, clone_for_session: Callable[[str], sa.URL], now: float) -> Held:
    """Return the same PPDB as if nothing had been observed since: the oracle."""
    plain = Held(clone_for_session(ppdb_template), now)
    fill(plain.url, now, (OLD + 2, OLD))
    return plain


@pytest.mark.parametrize("query", QUERIES)
def test_others_see_the_ppdb_as_if_nothing_had_been_observed_since(
    held_template: Held, released_only: Held, query: str
) -> None:
    with released_only.session() as connection:
        expected = capture(connection, query).rows
    assert held_template.rows("tapdb_reader", query) == expected
    assert held_template.rows(ROLE, query) != expected


def test_sql_of_a_reader_is_refused_on_the_tables_and_no_setting_shows_more(held_template: Held) -> None:
    count = 'SELECT count(*) FROM ppdb_history."DiaSource_released"'
    with held_template.session("tapdb_reader") as connection:
        for relation in ('ppdb."DiaSource"', 'ppdb_history."DiaSource"', 'ppdb_history."DiaSource_closed"'):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT count(*) FROM {relation}")  # noqa: S608
        for setting, shown in (("infinity", 2), ("2099-01-01", 2), ("2000-01-01", 0)):
            connection.execute(sql.SQL("SET tapdb.release_instant = {}").format(sql.Literal(setting)))
            assert connection.execute(count).fetchone() == (shown,)
        # Names that a user makes first in the search path are not those of the rule.
        connection.execute("RESET tapdb.release_instant; SET search_path = pg_temp, pg_catalog")
        connection.execute(
            "CREATE FUNCTION pg_temp.has_table_privilege(name, oid, text) RETURNS boolean "
            "LANGUAGE sql AS 'SELECT true'"
        )
        assert connection.execute(count).fetchone() == (2,)


def test_an_error_tells_nothing_of_a_row_that_is_held_back(held_template: Held) -> None:
    query = "SELECT COUNT(*) AS n FROM DiaSource WHERE 1.0E300 / (ABS(diaSourceId - 4) + 1.0E-300) > 0"
    assert held_template.rows("tapdb_reader", query) == [(2,)]
    with pytest.raises(Exception, match="out of range"):
        held_template.rows(ROLE, query)


def test_the_index_on_positions_serves_what_is_released(held_template: Held) -> None:
    with held_template.session("tapdb_reader") as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            'EXPLAIN SELECT ra FROM ppdb_history."DiaSource_released" '
            "WHERE spoint(radians(ra), radians(dec)) <@ scircle(spoint(0.2, -0.09), 0.001)"
        ).fetchall()
    assert any("Index Cond: (spoint" in line for (line,) in plan), plan


def test_a_record_says_when_release_was_asked_and_which_group_saw_more(held_template: Held) -> None:
    query = "SELECT diaSourceId FROM DiaSource"
    theirs, ours = (held_template.record(role, query) for role in ("tapdb_reader", ROLE))
    assert (theirs.release_groups, ours.release_groups) == ((), (ROLE,))
    for record in (theirs, ours):
        assert record.release_instant.endswith("Z")
        assert ReplayRecord.from_json(record.to_json()) == record
        assert Recipe.from_word(Recipe.of_record(record).to_word()) == Recipe.of_record(record)
    public = held_template.record("tapdb_reader", "SELECT id FROM mpc_orbits")
    assert "release" not in public.to_json()


def test_a_result_with_rows_that_are_held_back_is_refused_and_never_cut(held_template: Held) -> None:
    record = held_template.record(ROLE, "SELECT diaSourceId FROM DiaSource")
    assert record.row_count == 4
    with held_template.session("tapdb_reader") as connection:
        for work in (replay, verify_record):
            with pytest.raises(NotReleasedError, match=f"ask a member of {ROLE}"):
                work(connection, record)
        with pytest.raises(NotReleasedError):
            Replayer(connection).diff(record)
    with held_template.session(ROLE) as connection:
        assert replay(connection, record).is_identical


def test_a_result_of_released_rows_is_for_all_whoever_made_it(held_template: Held) -> None:
    query = "SELECT diaSourceId, psfFlux FROM DiaSource WHERE visit < 3"
    record = held_template.record(ROLE, query)
    assert (record.row_count, record.release_groups) == (2, (ROLE,))
    with held_template.session("tapdb_reader") as connection:
        again = replay(connection, record)
        assert (again.is_identical, len(again.rows)) == (True, 2)
        assert verify_record(connection, record).is_identical


def test_what_is_not_exact_is_refused_where_a_row_could_be_missing(held_template: Held) -> None:
    query = "SELECT AVG(psfFlux) AS mean FROM DiaSource"
    record = held_template.record(ROLE, query)
    assert record.guarantee.level.value != "exact"
    with held_template.session("tapdb_reader") as connection, pytest.raises(NotReleasedError):
        replay(connection, record)
    exact = held_template.record(
        ROLE, "SELECT AVG(psfFlux) AS mean FROM DiaSource WHERE visit < 3", Request(exact_sums=True)
    )
    with held_template.session("tapdb_reader") as connection:
        assert replay(connection, exact).is_identical


def test_what_was_for_all_is_repeated_as_it_was_by_the_group_too(held_template: Held) -> None:
    record = held_template.record("tapdb_reader", "SELECT diaSourceId FROM DiaSource")
    for role in ("tapdb_reader", ROLE):
        with held_template.session(role) as connection:
            again = replay(connection, record)
            assert (again.is_identical, len(again.rows)) == (True, 2)
            # The instant counts for the replay alone.
            assert len(capture(connection, record.natural).rows) == (4 if role == ROLE else 2)


def test_a_record_whose_instant_was_edited_shows_no_more(held_template: Held) -> None:
    text = held_template.record("tapdb_reader", "SELECT diaSourceId FROM DiaSource").to_json()
    year = "2099-01-01T00:00:00.000000Z"
    record = ReplayRecord.from_json(text)
    edited = ReplayRecord.from_json(text.replace(record.release_instant, year))
    with held_template.session("tapdb_reader") as connection:
        assert len(replay(connection, edited).rows) == 2


def test_as_of_a_past_snapshot_release_is_that_of_now(held_template: Held) -> None:
    query = "SELECT diaSourceId FROM DiaSource"
    with held_template.session(ROLE) as connection:
        last = newest(connection)
        found = {one: len(query_at(connection, query, str(one)).rows) for one in range(last - 3, last + 1)}
    with held_template.session("tapdb_reader") as connection:
        shown = {one: len(query_at(connection, query, str(one)).rows) for one in found}
    assert list(found.values()) == [1, 2, 3, 4]
    assert list(shown.values()) == [1, 2, 2, 2]


def test_a_row_is_seen_once_its_time_has_come_and_a_replay_still_lacks_it(held: Held) -> None:
    with connect(held.url, autocommit=True) as connection:
        row = connection.execute("SELECT tapdb.mjd_tai(clock_timestamp())").fetchone()
    assert row is not None
    with engine_connection(held.url) as writer:
        wait_s = 4.0
        seen = row[0] - HOURS / 24 + wait_s / 86400
        insert(writer, "DiaSource", diaSourceId=9, visit=9, detector=1, midpointMjdTai=seen, ra=1.0, dec=1.0)
    query = "SELECT diaSourceId FROM DiaSource"
    record = held.record("tapdb_reader", query)
    assert record.row_count == 2
    deadline = time.monotonic() + 30
    while len(held.rows("tapdb_reader", query)) == 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(held.rows("tapdb_reader", query)) == 3
    for role in ("tapdb_reader", ROLE):
        with held.session(role) as connection:
            again = replay(connection, record)
            assert (again.is_identical, len(again.rows)) == (True, 2)


def test_once_all_of_its_snapshot_is_released_a_result_is_for_all(held: Held) -> None:
    record = held.record(ROLE, "SELECT AVG(psfFlux) AS mean FROM DiaSource")
    with held.session("tapdb_reader") as connection, pytest.raises(NotReleasedError):
        Replayer(connection).require_seen(record)
    assert held.run("set", "--hours", "0", "--reader", ROLE).exit_code == 0
    with held.session("tapdb_reader") as connection:
        Replayer(connection).require_seen(record)
        assert replay(connection, record).rows


def test_rows_that_follow_a_table_without_their_key_are_never_taken_for_released(held: Held) -> None:
    with engine_connection(held.url) as connection:
        insert(connection, "SSSource", diaSourceId=99, ssObjectId=1)
    assert held.run("set", "--hours", "0", "--reader", ROLE).exit_code == 0
    record = held.record(ROLE, "SELECT diaSourceId FROM SSSource")
    assert (record.row_count, len(held.rows("tapdb_reader", record.natural))) == (5, 4)
    with held.session("tapdb_reader") as connection, pytest.raises(NotReleasedError):
        Replayer(connection).require_seen(record)


def test_a_role_that_sees_all_rows_by_no_grant_makes_no_record_for_everybody(held: Held) -> None:
    auditor = "tapdb_test_auditor"
    with connect(held.url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {auditor}; CREATE ROLE {auditor} NOLOGIN")
        connection.execute(f"GRANT tapdb_reader, pg_read_all_data TO {auditor}")
    record = held.record(auditor, "SELECT AVG(psfFlux) AS mean FROM DiaSource")
    assert record.release_groups == (auditor,)
    with held.session("tapdb_reader") as connection, pytest.raises(NotReleasedError):
        replay(connection, record)


CHANGES = {
    "stricter": ("set", "--hours", "260", "--reader", ROLE),
    "looser": ("set", "--hours", "1", "--reader", ROLE),
    "none": ("remove",),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_result_for_all_is_refused_once_other_rules_would_give_other_rows(
    held: Held, change: tuple[str, ...]
) -> None:
    query = "SELECT AVG(psfFlux) AS mean FROM DiaSource"
    record = held.record("tapdb_reader", query)
    # The same rules again are no change.
    assert held.run("set", "--hours", str(HOURS), "--reader", ROLE).exit_code == 0
    with held.session("tapdb_reader") as connection:
        assert replay(connection, record).is_identical
    assert held.run(*change).exit_code == 0
    for role in ("tapdb_reader", ROLE):
        with held.session(role) as connection:
            with pytest.raises(NotReleasedError, match="rules of release have changed"):
                replay(connection, record)
            # What the record says was for everybody.
            Replayer(connection).require_seen(record)
    assert replay_of_now(held, query)


def replay_of_now(held: Held, query: str) -> bool:
    """Return whether a result of now can be replayed by all."""
    record = held.record("tapdb_reader", query)
    with held.session("tapdb_reader") as connection:
        return replay(connection, record).is_identical


def test_a_record_from_before_there_were_rules_is_refused_like_one_of_the_group(held: Held) -> None:
    assert held.run("remove").exit_code == 0
    query = "SELECT diaSourceId FROM DiaSource"
    record = held.record("tapdb_reader", query)
    assert (record.row_count, record.release_instant) == (4, "")
    assert held.run("set", "--hours", str(HOURS), "--reader", ROLE).exit_code == 0
    with held.session("tapdb_reader") as connection, pytest.raises(NotReleasedError):
        replay(connection, record)
    with held.session(ROLE) as connection:
        assert replay(connection, record).is_identical


def test_columns_come_and_go_under_the_views(held: Held) -> None:
    with engine_connection(held.url) as connection:
        add_column(connection, "DiaSource", "extra", "double precision")
    with engine_connection(held.url) as connection:
        connection.execute(sa.text('UPDATE ppdb."DiaSource" SET extra = 5'))
    assert held.rows("tapdb_reader", "SELECT extra FROM DiaSource") == [(5.0,)] * 2
    with engine_connection(held.url) as connection:
        drop_column(connection, "DiaSource", "extra")
    assert len(held.rows("tapdb_reader", "SELECT * FROM DiaSource")) == 2
    assert held.run("set", "--hours", "1", "--reader", ROLE).exit_code == 0


def test_a_migration_may_replace_what_the_views_ask_and_gives_no_right_back(held: Held) -> None:
    query = "SELECT diaSourceId FROM DiaSource"
    seen = held.rows("tapdb_reader", query)
    tables = PpdbTables()
    with engine_connection(held.url) as connection:
        before = describe(connection)
        tables.drop(connection)
        # What a later revision may make anew.
        functions = ("functions/tapdb.released_until_mjd_tai", "functions/tapdb.released_until_tai")
        sources = [read_current(name) for name in (*functions, "grants/tapdb_reader")]
        for text in (*(one.drop for one in reversed(sources)), *(one.create for one in sources)):
            execute_text(connection, text)
        tables.create(connection, {})
        # The grant is of all tables that tapdb_owner has: of those without rules too.
        given = {one.object for one in diff(before, describe(connection))}
        assert given == {'table ppdb."PpdbReplicaChunk"', "table ppdb.metadata"}
        assert check(connection) == ()
    assert held.rows("tapdb_reader", query) == seen


def test_a_downgrade_that_would_forget_the_rules_is_refused_and_changes_nothing(held: Held) -> None:
    down = ["migrate", "downgrade", "0012", "-x", "obscore=off"]
    done = CliRunner().invoke(main, down, env=client_environment(held.url))
    assert (done.exit_code, "tapdb ppdb release remove" in done.output) == (2, True), done.output
    assert held.run("status").exit_code == 0


def test_versions_are_not_taken_off_a_table_that_is_held_back(held: Held) -> None:
    with engine_connection(held.url) as connection, pytest.raises(VersioningError, match="release remove"):
        uninstall(connection, discard_history=True)
    assert held.run("remove").exit_code == 0
    with engine_connection(held.url) as connection:
        assert "DiaSource" in uninstall(connection, discard_history=True)


def test_without_rules_all_readers_see_all_rows_again(held: Held) -> None:
    assert "GRANT SELECT" in held.run("remove", "--dry-run").stdout
    assert len(held.rows("tapdb_reader", "SELECT * FROM DiaSource")) == 2
    assert held.run("remove").exit_code == 0
    with engine_connection(held.url) as connection:
        assert read_rules(connection) == ()
        assert [one for one in check(connection) if one.severity == "error"] == []
    assert len(held.rows("tapdb_reader", "SELECT * FROM DiaSource")) == 4


def test_a_role_that_is_no_reader_any_more_loses_its_right(held: Held) -> None:
    assert held.run("set", "--hours", str(HOURS)).exit_code == 0
    assert len(held.rows(ROLE, "SELECT * FROM DiaSource")) == 2


OTHER_RIGHTS = {
    "a column": 'GRANT SELECT ("diaSourceId") ON ppdb."DiaSource" TO tapdb_test_other',
    "versions": 'GRANT SELECT ON ppdb_history."DiaSource" TO tapdb_test_other',
}


@pytest.mark.parametrize("right", OTHER_RIGHTS.values(), ids=OTHER_RIGHTS)
def test_a_role_loses_every_right_by_which_it_could_read_rows(held: Held, right: str) -> None:
    with connect(held.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS tapdb_test_other; CREATE ROLE tapdb_test_other NOLOGIN")
        connection.execute(f"GRANT tapdb_reader TO tapdb_test_other; {right}")
        relation = right.partition(" ON ")[2].partition(" TO ")[0]
    assert "tapdb_test_other" in held.run("status", "--format", "csv").stdout
    assert held.run("set", "--hours", str(HOURS), "--reader", ROLE).exit_code == 0
    with held.session("tapdb_test_other") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f'SELECT "diaSourceId" FROM {relation}')  # noqa: S608


def test_a_right_that_another_role_gave_is_named_and_nothing_changes(held: Held) -> None:
    with connect(held.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS tapdb_test_other; CREATE ROLE tapdb_test_other NOLOGIN")
        connection.execute(f'GRANT SELECT ON ppdb."DiaObject" TO {ROLE} WITH GRANT OPTION')
        connection.execute(f"SET ROLE {ROLE}")
        connection.execute('GRANT SELECT ON ppdb."DiaObject" TO tapdb_test_other')
    done = held.run("set", "--hours", "1", "--reader", ROLE)
    assert (done.exit_code, "tapdb_test_other would still see all rows" in done.stderr) == (2, True)
    assert f"{HOURS:g} hours" in held.run("status").stdout


def test_a_table_that_comes_later_is_held_back_too(held: Held) -> None:
    assert held.run("remove").exit_code == 0
    with engine_connection(held.url) as connection:
        uninstall(connection, tables=["DiaForcedSource"], discard_history=True)
    assert held.run("set", "--hours", str(HOURS), "--reader", ROLE, "--public=mpc_orbits").exit_code == 0
    with engine_connection(held.url) as connection:
        install(connection)
    query = "SELECT COUNT(*) AS n FROM DiaForcedSource"
    assert [held.rows(role, query) for role in ("tapdb_reader", ROLE)] == [[(2,)], [(4,)]]
    assert held.rows("tapdb_reader", "SELECT COUNT(*) AS n FROM mpc_orbits") == [(1,)]
    with engine_connection(held.url) as connection:
        assert [one for one in check(connection) if one.severity == "error"] == []


def test_keys_of_rows_that_have_just_come_are_not_shown(held: Held) -> None:
    keys = "SELECT keys FROM ppdb_history.pending_rows"
    with held.session("tapdb_reader") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(keys)
    assert held.run("remove").exit_code == 0
    with held.session("tapdb_reader") as connection:
        connection.execute(keys)


DAMAGES = {
    'GRANT SELECT ON ppdb."DiaSource" TO tapdb_reader': "may read rows that are not released",
    'GRANT SELECT ON ppdb_history."DiaObject" TO PUBLIC': "may read rows that are not released",
    'GRANT SELECT (ra) ON ppdb_history."DiaObject_closed" TO tapdb_reader': "not released",
    'DROP VIEW ppdb_history."DiaSource_versions_released"': "is missing",
    'ALTER VIEW ppdb_history."DiaSource_guarded" RESET (security_barrier)': "no barrier any more",
}


@pytest.mark.parametrize("damage", [None, *DAMAGES])
def test_check_finds_what_shows_rows_that_are_held_back(held: Held, damage: str | None) -> None:
    with engine_connection(held.url) as connection:
        if damage is not None:
            connection.exec_driver_sql(damage)
        found = [one.problem for one in check(connection)]
    if damage is None:
        assert found == []
    else:
        assert any(DAMAGES[damage] in problem for problem in found), found


def test_status_says_when_rows_are_released_and_who_sees_them_before(held_template: Held) -> None:
    done = held_template.run("status", "--format", "csv")
    assert done.exit_code == 0, done.output
    lines = {line.split(",")[0]: line for line in done.stdout.splitlines()}
    assert lines["ppdb.DiaSource"] == f"ppdb.DiaSource,80 hours after midpointMjdTai,80.0,{ROLE}"
    assert lines["ppdb.SSSource"].startswith("ppdb.SSSource,with the row of DiaSource,80.0,")
    assert "never" in lines["ppdb.SSObject"]
    assert lines["ppdb.mpc_orbits"].startswith("ppdb.mpc_orbits,at once,")


WRONG = {
    ("--hours", "-1"): "is no number of hours",
    ("--hours", "nan"): "is no number of hours",
    ("--hours", "80", "--public", "Nothing"): "release of Nothing: no versions of it are kept; there are",
    ("--hours", "80", "--hours-of", "DiaSource"): "write TABLE=HOURS",
    ("--hours", "80", "--hours-of", "DiaSource=x"): "write TABLE=HOURS",
    ("--hours", "80", "--reader", "nobody_at_all"): "CREATE ROLE",
    ("--hours", "80", "--reader", "tapdb_reader"): "is the role of everybody",
}


@pytest.mark.parametrize("given", WRONG, ids=" ".join)
def test_what_cannot_be_held_back_so_is_refused_and_nothing_changes(
    held_template: Held, given: tuple[str, ...]
) -> None:
    done = held_template.run("set", *given)
    assert (done.exit_code, WRONG[given] in done.stderr) == (2, True), done.stderr
    assert held_template.rows("tapdb_reader", "SELECT COUNT(*) AS n FROM DiaSource") == [(2,)]


def test_the_zone_of_a_session_releases_nothing_where_times_are_timestamps(
    migrated_database: sa.URL, now: float
) -> None:
    old = Held(migrated_database, now)
    with engine_connection(old.url) as connection:
        create_tables(connection, with_system_columns(with_timestamps(read_schema())))
        install(connection)
        for number, hours in enumerate((1, HOURS - 1, HOURS + 1), 1):
            seen = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)
            insert(connection, "DiaObject", diaObjectId=number, validityStart=seen, ra=1.0, dec=1.0)
        set_release(connection, rules_for(read_versioned_tables(connection), HOURS), [])
    with old.session("tapdb_reader") as connection:
        for zone in ("UTC", "XXX+24", "XXX+100", "XXX-100"):
            connection.execute(sql.SQL("SET TimeZone = {}").format(sql.Literal(zone)))
            for view in ("DiaObject_released", "DiaObject_versions_guarded"):
                query = sql.SQL('SELECT "diaObjectId" FROM ppdb_history.{}').format(sql.Identifier(view))
                assert connection.execute(query).fetchall() == [(3,)], zone


def test_hours_of_one_table_and_the_time_of_older_schemas(held_template: Held) -> None:
    with engine_connection(held_template.url) as connection:
        tables = read_versioned_tables(connection)
    rules = {rule.table: rule for rule in rules_for(tables, 80, hours_of={"DiaObject": 2}, public=UNDATED)}
    assert (rules["DiaObject"].embargo_hours, rules["DiaSource"].embargo_hours) == (2, 80)
    assert "mpc_orbits" not in rules
    with pytest.raises(ReleaseRuleError, match="inf is no number"):
        rules_for(tables, float("inf"))
