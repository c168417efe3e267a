"""What would destroy versions is refused, and what passes by the triggers is found by verify and check."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.versions.check import check
from ppdb_replay.versions.triggers import HISTORY
from ppdb_replay.versions.verify import Report, verify
from tapdb.sources import read_frozen
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, history_rows, insert_object, newest

RELATIONS = {
    "current": sql.Identifier("ppdb", "DiaObject"),
    "closed": sql.Identifier("ppdb_history", "DiaObject_closed"),
    "all": sql.Identifier("ppdb_history", "DiaObject"),
}


@pytest.fixture(scope="module")
def written_template(clone_for_session: Callable[[str], sa.URL], ppdb_template: str) -> sa.URL:
    """Return a database in which snapshots 2 to 6 wrote two objects, two updates and a deletion."""
    url = clone_for_session(ppdb_template)
    with connect(url, autocommit=True) as connection:
        for number in (1, 2):
            insert_object(connection, number)
        for flux in (1.5, 2.5):
            connection.execute('UPDATE ppdb."DiaObject" SET "g_psfFluxMean" = %s', [flux])
        connection.execute('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 2')
    return url


@pytest.fixture
def written(clone_database: Callable[[str], sa.URL], written_template: sa.URL) -> sa.URL:
    """Return a database of one's own with the same."""
    return clone_database(str(written_template.database))


@pytest.fixture
def session(written_template: sa.URL) -> Iterator[sa.Connection]:
    """Return a session in that database whose changes are rolled back."""
    with engine_connection(written_template) as connection, connection.begin_nested() as savepoint:
        yield connection
        savepoint.rollback()


def named(statement: str) -> sql.Composed:
    """Return a statement on the relations of DiaObject: current rows, ended versions, all of them."""
    return sql.SQL(statement).format(**RELATIONS)


def verified(url: sa.URL, anchors: dict[int, bytes] | None = None) -> Report:
    with engine_connection(url) as connection:
        return verify(connection, anchors=anchors)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("TRUNCATE {current}", "DELETE keeps the versions"),
        ("TRUNCATE {all}", "would destroy versions"),
        ("TRUNCATE {closed}", "would destroy versions"),
        ("DELETE FROM {closed}", "would destroy versions"),
        ("UPDATE {closed} SET ra = 1", "would destroy versions"),
        ("INSERT INTO {closed} SELECT * FROM {closed}", "would destroy versions"),
        ("DELETE FROM {all}", "would destroy versions"),
        ("UPDATE {all} SET ra = 1", "would destroy versions"),
        ("INSERT INTO {all} SELECT * FROM {closed}", "would destroy versions"),
        ("UPDATE {current} SET snap_to = 3", "violates partition constraint"),
        ("INSERT INTO {current} SELECT * FROM {closed}", "violates partition constraint"),
        ("ALTER TABLE {current} ADD COLUMN extra integer", "cannot add column to a partition"),
        ("ALTER TABLE {current} DROP COLUMN ra", "cannot drop inherited column"),
        ("ALTER TABLE {current} ALTER COLUMN ra TYPE real", "cannot alter inherited column"),
        ("ALTER TABLE {current} RENAME COLUMN ra TO r", "cannot rename inherited column"),
    ],
)
def test_what_would_destroy_versions_is_refused_even_to_a_superuser(
    session: sa.Connection, statement: str, message: str
) -> None:
    with pytest.raises(sa.exc.DBAPIError, match=message), session.begin_nested():
        session.exec_driver_sql(named(statement).as_string())
    assert verify(session).tamperings == ()


def test_a_snapshot_given_by_hand_is_refused(written: sa.URL) -> None:
    with connect(written) as connection:
        columns = connection.execute(
            "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal) "
            "FROM ppdb_history.versioned_column WHERE table_name = 'DiaObject'"
        ).fetchone()
        assert columns is not None
        insert = sql.SQL(
            "INSERT INTO ppdb.{table} ({columns}, snap_from) SELECT {columns}, 2 FROM ppdb_history.{closed} "
            'WHERE "diaObjectId" = 2 LIMIT 1'
        ).format(
            table=sql.Identifier("DiaObject"),
            closed=sql.Identifier("DiaObject_closed"),
            columns=sql.SQL(columns[0]),
        )
        with pytest.raises(psycopg.errors.GeneratedAlways, match="was given by hand"):
            connection.execute(insert)


def test_an_update_of_snap_from_makes_a_new_version_like_any_other(written: sa.URL) -> None:
    with connect(written) as connection:
        before = newest(connection)
        rows = history_rows(connection, "DiaObject", before)
        connection.execute('UPDATE ppdb."DiaObject" SET snap_from = 1')
        connection.commit()
        assert newest(connection) == before + 1
        assert history_rows(connection, "DiaObject", before) == rows
    assert verified(written).tamperings == ()


def test_a_session_that_replicates_does_not_pass_by_the_triggers(written: sa.URL) -> None:
    with connect(written) as connection:
        connection.execute("SET session_replication_role = replica")
        before = newest(connection)
        connection.execute('UPDATE ppdb."DiaObject" SET ra = 77')
        connection.commit()
        assert newest(connection) == before + 1
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            connection.execute('TRUNCATE ppdb."DiaObject"')
    assert verified(written).tamperings == ()


def test_rows_cannot_be_inserted_where_the_triggers_are_disabled(written: sa.URL) -> None:
    with connect(written) as connection:
        connection.execute('ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL')
        with pytest.raises(psycopg.errors.NotNullViolation):
            insert_object(connection, 9)


TAMPERINGS = {
    "update of a current row": ("UPDATE {current} SET ra = 5", 5, "DiaObject", "some have other values"),
    "deletion of a current row": ("DELETE FROM {current}", 5, "DiaObject", "of 2 versions that began"),
    "update of an ended version": (
        'UPDATE {closed} SET "g_psfFluxMean" = 9 WHERE snap_to = 5',
        4,
        "DiaObject",
        "some have other values",
    ),
    "sign of a zero": (
        "UPDATE {closed} SET ra = ra, \"g_psfFluxMean\" = '-0' WHERE snap_to = 5",
        4,
        "DiaObject",
        "",
    ),
    "deletion of an ended version": (
        'DELETE FROM {closed} WHERE snap_to = 4 AND "diaObjectId" = 2',
        3,
        "DiaObject",
        "of 1 versions that began with it, 0",
    ),
    "an end moved": (
        "UPDATE {closed} SET snap_to = 5 WHERE snap_to = 4",
        4,
        "DiaObject",
        "2 versions that ended",
    ),
    "a beginning moved": ("UPDATE {closed} SET snap_from = 3 WHERE snap_from = 2", 2, "DiaObject", "began"),
    "truncation": ("TRUNCATE {closed}", 2, "DiaObject", "began"),
    "a note changed": (
        "UPDATE ppdb_history.snapshot_table SET begun = begun + 1 WHERE snapshot_id = 3",
        3,
        None,
        "not the one that the next snapshot was built on",
    ),
    "a time changed": (
        "UPDATE ppdb_history.snapshot SET t_mjd_tai = t_mjd_tai - 1e-9 WHERE snapshot_id = 4",
        4,
        None,
        "not the one that the next snapshot was built on",
    ),
    "a snapshot gone": (
        "DELETE FROM ppdb_history.snapshot WHERE snapshot_id = 4",
        5,
        None,
        "the snapshot before is 3",
    ),
    "the clock set back": ("UPDATE ppdb_history.clock SET snapshot_id = 4", 4, None, "the clock is not at"),
}


@pytest.mark.parametrize(("statement", "snapshot", "table", "problem"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampering_is_found_and_the_first_bad_snapshot_and_table_are_named(
    session: sa.Connection, statement: str, snapshot: int, table: str | None, problem: str
) -> None:
    assert verify(session).tamperings == ()
    for relation in ("{current}", "{closed}"):
        session.exec_driver_sql(named("ALTER TABLE " + relation + " DISABLE TRIGGER ALL").as_string())
    session.exec_driver_sql(named(statement).as_string())
    report = verify(session)
    assert report.tamperings != ()
    first = report.tamperings[0]
    assert (first.snapshot_id, first.table) == (snapshot, table), report.tamperings
    assert problem in first.problem


def test_who_makes_the_notes_fit_is_found_by_a_digest_that_was_published(written: sa.URL) -> None:
    published = verified(written)
    digest = sql.SQL(
        "(SELECT bit_xor(('x' || encode(sha256(record_send(ROW({}))), 'hex'))::bit(256)) FROM {})"
    )
    with connect(written) as connection:
        connection.execute('ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL')
        connection.execute('UPDATE ppdb."DiaObject" SET ra = 5')
        columns = connection.execute(
            "SELECT column_name FROM ppdb_history.versioned_column "
            "WHERE table_name = 'DiaObject' ORDER BY ordinal"
        ).fetchall()
        rows = digest.format(
            sql.SQL(", ").join(sql.Identifier(name) for (name,) in columns),
            sql.SQL("(SELECT * FROM ppdb_history.{} WHERE snap_from = 5) began").format(
                sql.Identifier("DiaObject")
            ),
        )
        forged = sql.SQL(
            "UPDATE ppdb_history.snapshot_table SET begun_digest = {} WHERE snapshot_id = 5"
        ).format(rows)
        connection.execute(forged)
        connection.execute(
            "UPDATE ppdb_history.snapshot SET parent_digest = ppdb_history.snapshot_digest(5) "
            "WHERE snapshot_id = 6"
        )
        connection.commit()
    assert verified(written).tamperings == ()
    (found,) = verified(written, {published.snapshot_id: published.digest}).tamperings
    assert found.snapshot_id == published.snapshot_id
    assert "as was published" in found.problem


DROPPED = "DROP TRIGGER tapdb_enter ON {current};"
ENTER = "CREATE TRIGGER tapdb_enter"
EVENTS = "INSERT OR UPDATE OR DELETE"
STATEMENT = "FOR EACH STATEMENT"
CALL = "EXECUTE FUNCTION ppdb_history.enter()"
OTHER_CALL = "EXECUTE FUNCTION ppdb_history.refuse_change()"
ALWAYS = "; ALTER TABLE {current} ENABLE ALWAYS TRIGGER tapdb_enter"
REPLACED = "CREATE OR REPLACE FUNCTION ppdb_history."
TIME = "CREATE OR REPLACE FUNCTION tapdb.mjd_tai(at_utc timestamptz)"
IDLE = "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("ALTER TABLE {current} DISABLE TRIGGER tapdb_updated", "tapdb_updated is disabled"),
        (
            "ALTER TABLE {current} ENABLE TRIGGER tapdb_enter",
            "tapdb_enter is disabled, or not always enabled",
        ),
        ("DROP TRIGGER tapdb_stamp ON {current}", "tapdb_stamp is missing"),
        ("DROP TRIGGER tapdb_guard ON {closed}", "tapdb_guard is missing"),
        ("ALTER TABLE {all} ADD COLUMN extra integer", "column extra came or went"),
        ('ALTER TABLE {all} ALTER COLUMN "raErr" TYPE numeric', "is numeric, and was real"),
        ("ALTER TABLE {current} ALTER COLUMN snap_from DROP DEFAULT", "has lost its default"),
        ("ALTER TABLE {all} DETACH PARTITION {current}", "not the part of ppdb_history.DiaObject"),
        ("ALTER TRIGGER tapdb_updated ON {current} RENAME TO updated", "tapdb_updated is missing"),
        (f"{DROPPED} {ENTER} AFTER {EVENTS} ON {{current}} {STATEMENT} {CALL} {ALWAYS}", "after insert or"),
        (
            f"{DROPPED} {ENTER} BEFORE INSERT ON {{current}} {STATEMENT} {CALL} {ALWAYS}",
            "fires otherwise than it was made to: before insert on it for each statement",
        ),
        (f"{DROPPED} {ENTER} BEFORE {EVENTS} ON {{current}} FOR EACH ROW {CALL} {ALWAYS}", "each row"),
        (
            f"{DROPPED} {ENTER} BEFORE {EVENTS} ON {{current}} {STATEMENT} WHEN (false) {CALL} {ALWAYS}",
            "before insert or delete or update on it for each statement when false",
        ),
        (
            f"{DROPPED} {ENTER} BEFORE {EVENTS} ON {{current}} {STATEMENT} {OTHER_CALL} {ALWAYS}",
            "tapdb_enter calls ppdb_history.refuse_change(), and not ppdb_history.enter()",
        ),
        (
            "ALTER TABLE ppdb_history.stored_query DISABLE TRIGGER ALL",
            "stored_query_refuse_change is disabled",
        ),
        (
            f"ALTER TABLE {HISTORY}.stored_query_check ENABLE REPLICA TRIGGER stored_query_check_refuse_row",
            "stored_query_check_refuse_row is disabled, or not always enabled",
        ),
        (
            "DROP TRIGGER stored_query_revision_refuse_row ON ppdb_history.stored_query_revision",
            "stored_query_revision_refuse_row is missing",
        ),
        (f"{REPLACED}refuse() RETURNS trigger {IDLE}", "not the function that tapdb made"),
        (f"{REPLACED}refuse_change() RETURNS trigger {IDLE}", "not the function that tapdb made"),
        (f"{REPLACED}keep_versions() RETURNS trigger {IDLE}", "not the function that tapdb made"),
        ("ALTER FUNCTION ppdb_history.enter() SECURITY INVOKER", "not the function that tapdb made"),
        (
            "ALTER FUNCTION ppdb_history.advance() SET search_path = public",
            "not the function that tapdb made",
        ),
        ("ALTER FUNCTION ppdb_history.advance() RESET search_path", "not the function that tapdb made"),
        ("ALTER FUNCTION ppdb_history.writing() IMMUTABLE", "not the function that tapdb made"),
        ("ALTER FUNCTION ppdb_history.lock_clock() OWNER TO CURRENT_USER", "it belongs to "),
        ("ALTER FUNCTION ppdb_history.advance() RENAME TO advanced", "it is missing"),
        (
            f"{TIME} RETURNS float8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT 1.0::float8'",
            "not the function that tapdb made",
        ),
        ("DELETE FROM ppdb_history.snapshot WHERE snapshot_id = 3", "it has lost 1 of its rows, the first"),
        ("UPDATE ppdb_history.clock SET snapshot_id = 4", "it is at snapshot 4 of MJD"),
        ("UPDATE ppdb_history.clock SET t_mjd_tai = t_mjd_tai - 1", "it is at snapshot 6 of MJD"),
        ("DELETE FROM ppdb_history.clock", "it has no row"),
    ],
)
def test_check_finds_what_is_broken(session: sa.Connection, statement: str, problem: str) -> None:
    assert check(session) == ()
    session.exec_driver_sql(named(statement).as_string())
    broken = [one for one in check(session) if one.severity == "error"]
    assert len({one.subject for one in broken}) == 1
    assert problem in broken[0].problem


def test_check_says_that_a_function_is_of_an_earlier_revision(session: sa.Connection) -> None:
    earlier = read_frozen("functions/ppdb_history.keep_versions", 1).create
    session.exec_driver_sql(
        earlier.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
        execution_options={"no_parameters": True},
    )
    (found,) = check(session)
    assert found.severity == "warning"
    assert (found.subject, found.problem) == (
        "ppdb_history.keep_versions()",
        "it is that of an earlier revision",
    )


def test_a_function_of_others_beside_ours_is_no_fault(session: sa.Connection) -> None:
    session.exec_driver_sql(f"{REPLACED}refuse(reason text) RETURNS text LANGUAGE sql AS 'SELECT reason'")
    assert check(session) == ()


@pytest.mark.parametrize(
    ("more", "said"),
    [("", "has positions alone"), (", snap_to", "is taken for searches without a position too")],
)
def test_check_names_the_position_indexes_of_earlier_releases_and_how_to_replace_them(
    ppdb_database: sa.URL, more: str, said: str
) -> None:
    with connect(ppdb_database) as connection:
        connection.execute(
            'DROP INDEX ppdb_history."DiaObject_closed_position"; CREATE INDEX "DiaObject_closed_position" '
            'ON ppdb_history."DiaObject_closed" '
            f"USING gist (spoint(radians(ra), radians(dec)){more})".encode()
        )
        connection.commit()
        with engine_connection(ppdb_database) as session:
            (advice,) = check(session)
        assert (advice.severity, advice.subject) == ("warning", "ppdb_history.DiaObject_closed")
        assert advice.problem.startswith(f"index DiaObject_closed_position {said}")
        connection.autocommit = True
        for statement in advice.remedy.split("; "):
            connection.execute(statement.encode())
    with engine_connection(ppdb_database) as session:
        assert check(session) == ()


def test_check_says_when_statistics_are_old(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        connection.execute(
            "INSERT INTO ppdb.current_identifications (id, packed_primary_provisional_designation, "
            "packed_secondary_provisional_designation, unpacked_primary_provisional_designation, "
            "unpacked_secondary_provisional_designation, identifier_ids) "
            "SELECT i, i::text, i::text, i::text, i::text, '' FROM generate_series(1, 2000) i"
        )
        connection.execute("ANALYZE ppdb.current_identifications")
        connection.commit()
        connection.execute("SELECT ppdb_history.seal()")
        connection.commit()
    with engine_connection(ppdb_database) as session:
        (advice,) = check(session)
        assert advice.severity == "warning"
        assert advice.problem == "statistics are of 0 rows, and there are about 2000"
        session.exec_driver_sql("ANALYZE ppdb_history.current_identifications")
        assert check(session) == ()
