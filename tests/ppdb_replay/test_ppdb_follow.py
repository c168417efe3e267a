"""`tapdb ppdb follow` on two real servers: a transaction of the primary is a snapshot of the follower."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa

from ppdb_replay import capture, replay
from ppdb_replay.following import read_figures
from ppdb_replay.versions.check import check
from ppdb_replay.versions.verify import verify
from services.observing import text_of_figures
from tapdb.postgres.engine import create_database, drop_database
from tapdb.server.ephemeral import EphemeralServer
from tests.obscore_view.followers import dead
from tests.ppdb_replay.ppdb_followers import FOLLOWED, PpdbFollowing, ppdb_following
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, newest

OBJECT = 'INSERT INTO ppdb."DiaObject" VALUES ({}, 61000, NULL, 1, 1, 1)'


@pytest.fixture(scope="module")
def world(replicating_server: EphemeralServer) -> Iterator[PpdbFollowing]:
    """Return a primary and its follower, which all tests here change."""
    with ppdb_following(replicating_server, "followed_ppdb") as found:
        yield found
        found.run("follow", "remove", "ppdb")
    drop_database(replicating_server.url(), "followed_ppdb")


def local(world: PpdbFollowing, *statements: str, replica: bool = False) -> None:
    """Write at the follower; as its mender does, or as others would."""
    with connect(world.follower) as session:
        if replica:
            session.execute("SET LOCAL session_replication_role = replica")
        for one in statements:
            session.execute(one.encode())


def alone(url: sa.URL, *statements: str) -> None:
    with connect(url, autocommit=True) as session:
        for one in statements:
            session.execute(one.encode())


def wait_until(done: Callable[[], bool]) -> None:
    for _ in range(300):
        if done():
            return
        time.sleep(0.1)
    pytest.fail("it does not come")


def whole(world: PpdbFollowing) -> None:
    """Check that every snapshot is as the primary was, and that digests tell the same."""
    assert world.differing() == []
    world.done("seal")
    with engine_connection(world.follower) as connection:
        report = verify(connection)
        assert report.tamperings == ()
        assert report.pending == ()
        assert [str(one) for one in check(connection) if one.severity == "error"] == []


def test_rows_that_were_there_are_one_snapshot(world: PpdbFollowing) -> None:
    world.note()
    whole(world)
    assert "Versioning is in place." in world.done("check")
    assert world.run("follow", "status").exit_code == 0
    with engine_connection(world.follower) as connection:
        assert (
            'tapdb_follow_ppdb_running{ppdb="ppdb"} 1.0' in text_of_figures(read_figures(connection)).decode()
        )


ODD = """
UPDATE ppdb."DiaSource" SET flux = CASE "diaSourceId" % 4
  WHEN 0 THEN '-0' WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE '0.1' END::real,
  note = E'a,"b" (c) \\\\ \\n' || "diaSourceId"
"""
TRANSACTIONS = (
    # Two tables; a row twice.
    (
        'UPDATE ppdb."DiaObject" SET "nDiaSources" = 2 WHERE "diaObjectId" = 1',
        'UPDATE ppdb."DiaObject" SET "nDiaSources" = 3 WHERE "diaObjectId" = 1',
        'UPDATE ppdb."DiaSource" SET flux = 7 WHERE "diaSourceId" < 4',
    ),
    # Values that text could lose.
    (ODD,),
    ('UPDATE ppdb."DiaSource" SET flux = 0 WHERE flux = 0',),
    # A row that goes and comes back as it was; one that comes, changes and goes.
    (
        'CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM ppdb."DiaObject" WHERE "diaObjectId" = 2',
        'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 2',
        'INSERT INTO ppdb."DiaObject" SELECT * FROM kept',
        OBJECT.format(99),
        'UPDATE ppdb."DiaObject" SET ra = 2 WHERE "diaObjectId" = 99',
        'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 99',
    ),
    # More than a hundred rows, whose digest is made later; then some of them end.
    ('INSERT INTO ppdb."DiaSource" SELECT n, 3, n, NULL FROM generate_series(1001, 1300) n',),
    ('DELETE FROM ppdb."DiaSource" WHERE "diaSourceId" % 7 = 0',),
    # A key that changes.
    ('UPDATE ppdb."DiaSource" SET "diaSourceId" = 5000 WHERE "diaSourceId" = 1002',),
    ('DELETE FROM ppdb."SSObject"', 'INSERT INTO ppdb."SSObject" SELECT n, n FROM generate_series(1, 9) n'),
)


def test_each_transaction_of_the_primary_is_one_snapshot_that_can_be_read_again(world: PpdbFollowing) -> None:
    before = world.note()
    for number, statements in enumerate(TRANSACTIONS, 1):
        world.write(*statements)
        assert world.note() == before + number, statements
    whole(world)


def test_a_transaction_that_leaves_rows_as_they_were_is_no_snapshot(world: PpdbFollowing) -> None:
    before = world.note()
    world.write('UPDATE ppdb."DiaSource" SET note = note', 'INSERT INTO ppdb."PpdbReplicaChunk" VALUES (1)')
    assert world.note() == before
    assert world.differing() == []


CHANGES = (
    'UPDATE ppdb."DiaObject" SET ra = {x!r} WHERE "diaObjectId" = {n}',
    'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = {n}',
    'INSERT INTO ppdb."DiaObject" VALUES ({n}, 61000, NULL, 1, 1, 1) ON CONFLICT DO NOTHING',
    'UPDATE ppdb."DiaSource" SET flux = {x!r} WHERE "diaSourceId" % 9 = {n} % 9',
    'DELETE FROM ppdb."DiaSource" WHERE "diaSourceId" = {n}',
    'INSERT INTO ppdb."DiaSource" VALUES ({n}, 1, 1) ON CONFLICT DO NOTHING',
)


def test_random_transactions_give_a_snapshot_each(world: PpdbFollowing) -> None:
    draw = random.Random(7)
    for _ in range(15):
        number = draw.randint(1, 6)
        world.write(
            *(draw.choice(CHANGES).format(n=draw.randint(1, 40), x=draw.random()) for _ in range(number))
        )
        world.note()
    whole(world)


def test_a_query_gets_its_old_answer_after_the_primary_has_changed(world: PpdbFollowing) -> None:
    text = "SELECT diaObjectId, nDiaSources FROM DiaObject"
    world.note()
    with connect(world.follower, autocommit=True) as session:
        first = capture(session, text)
    assert first.rows
    world.write('UPDATE ppdb."DiaObject" SET "nDiaSources" = "nDiaSources" + 1')
    world.note()
    with connect(world.follower, autocommit=True) as session:
        again = replay(session, first.record)
        assert again.is_identical
        assert again.rows == first.rows
        assert sorted(capture(session, text).rows) != sorted(first.rows)


def test_a_follower_that_dies_loses_and_repeats_nothing(world: PpdbFollowing) -> None:
    before = world.note()
    world.write('UPDATE ppdb."DiaObject" SET ra = 11')
    with dead(world.follower_server):
        world.write('UPDATE ppdb."DiaObject" SET ra = 12', 'UPDATE ppdb."DiaSource" SET flux = 12')
        world.write('UPDATE ppdb."DiaObject" SET ra = 13')
    assert world.note() == before + 3
    whole(world)


@pytest.mark.parametrize(
    "statement",
    [
        'INSERT INTO ppdb."DiaSource" VALUES (70, 1, 1)',
        'UPDATE ppdb."DiaSource" SET flux = 1',
        'DELETE FROM ppdb."DiaSource"',
        'TRUNCATE ppdb."DiaSource"',
    ],
)
def test_others_do_not_write_what_is_followed(world: PpdbFollowing, statement: str) -> None:
    before = world.note()
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="is refused"):
        local(world, statement)
    assert world.note() == before


def test_how_far_a_follower_is_behind_is_told_and_made_up_for(world: PpdbFollowing) -> None:
    before = world.note()
    alone(world.follower, "ALTER SUBSCRIPTION tapdb_versions_ppdb DISABLE")
    world.write('UPDATE ppdb."DiaObject" SET ra = 21')
    said = world.status()
    assert "its subscription is disabled; tapdb ppdb follow add ppdb enables it" in said, said
    assert "disabled" in world.run("check").output
    result = world.run("follow", "status", "--format", "csv")
    header, row = (line.split(",") for line in result.stdout.splitlines()[:2])
    figures = dict(zip(header, row, strict=True))
    assert figures["state"] == "stopped"
    assert int(figures["behind_bytes"]) > 0
    world.done("follow", "add", "ppdb")
    assert world.note() == before + 1
    whole(world)


def stopped(world: PpdbFollowing) -> bool:
    return "cannot apply" in world.run("follow", "status").output


def test_a_conflict_stops_loudly_and_a_rebuild_makes_one_snapshot_of_what_differs(
    world: PpdbFollowing,
) -> None:
    world.note()
    local(world, OBJECT.format(500), replica=True)
    with connect(world.follower) as session:
        written = newest(session)
    world.write(OBJECT.format(500).replace("1, 1, 1)", "2, 2, 2)"))
    world.write('UPDATE ppdb."DiaSource" SET flux = 31')
    wait_until(lambda: stopped(world))
    assert "tapdb ppdb follow add ppdb" in world.status()
    world.done("follow", "rebuild", "ppdb")
    assert world.note() == written + 1
    world.write('UPDATE ppdb."DiaSource" SET flux = 32')
    assert world.note() == written + 2
    whole(world)


def test_truncation_at_the_primary_is_refused_and_a_rebuild_keeps_the_versions(world: PpdbFollowing) -> None:
    world.write('INSERT INTO ppdb."SSObject" VALUES (77, 7)')
    before = world.note()
    world.write('TRUNCATE ppdb."SSObject"')
    wait_until(lambda: stopped(world))
    world.done("follow", "rebuild", "ppdb")
    assert world.note() == before + 1
    assert world.states[before]["SSObject"]
    whole(world)


def test_a_column_that_the_primary_adds_is_added_here(world: PpdbFollowing) -> None:
    world.note()
    earlier = dict(world.states)
    world.write('ALTER TABLE ppdb."DiaSource" ADD COLUMN snr real')
    world.write('UPDATE ppdb."DiaSource" SET snr = 5 WHERE "diaSourceId" < 10')
    wait_until(lambda: stopped(world))
    assert "column snr was added" in world.status()
    world.done("follow", "add", "ppdb")
    world.states.clear()
    world.note()
    world.write('UPDATE ppdb."DiaSource" SET snr = 6 WHERE "diaSourceId" < 10')
    world.note()
    whole(world)
    world.write('ALTER TABLE ppdb."DiaSource" DROP COLUMN snr')
    world.write('INSERT INTO ppdb."DiaSource" VALUES (600, 1, 1)')
    world.wait()
    assert "column snr was dropped" in world.status()
    world.done("follow", "add", "ppdb")
    assert world.run("follow", "status").exit_code == 0
    # Earlier snapshots have the columns that they had.
    with connect(world.follower, autocommit=True) as session:
        for number in (min(earlier), max(earlier)):
            found = session.execute(
                'SELECT count(*) FROM ppdb_history."DiaSource" WHERE snap_from <= %s AND snap_to > %s',
                [number, number],
            ).fetchone()
            assert found == (len(earlier[number]["DiaSource"]),)
    world.states.clear()


def test_a_column_of_another_type_is_told(world: PpdbFollowing) -> None:
    alone(world.primary, 'ALTER TABLE ppdb."DiaSource" ALTER COLUMN flux TYPE float8')
    said = world.status()
    assert "column flux was real, is double precision" in said, said
    for command in ("add", "rebuild"):
        result = world.run("follow", command, "ppdb")
        assert result.exit_code == 1
        assert "versions have the type that they had" in result.output
    alone(world.primary, 'ALTER TABLE ppdb."DiaSource" ALTER COLUMN flux TYPE real')
    assert world.run("follow", "status").exit_code == 0


def test_a_slot_that_was_dropped_is_told_and_made_up_for(world: PpdbFollowing) -> None:
    alone(world.follower, "ALTER SUBSCRIPTION tapdb_versions_ppdb DISABLE")
    slots = (
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        "WHERE slot_name ~ '^tapdb_ppdb' AND NOT active"
    )
    with connect(world.primary, autocommit=True) as session:
        wait_until(lambda: bool(session.execute(slots).fetchall()))
    world.write('UPDATE ppdb."DiaObject" SET ra = 41')
    said = world.status()
    assert "was dropped; tapdb ppdb follow rebuild ppdb" in said, said
    world.done("follow", "rebuild", "ppdb")
    world.note()
    whole(world)


def test_without_the_triggers_the_guard_refuses_and_it_is_told(world: PpdbFollowing) -> None:
    before = world.note()
    alone(world.follower, 'DROP TRIGGER tapdb_apply ON ppdb."DiaObject"')
    world.write('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 500')
    wait_until(lambda: stopped(world))
    said = world.status()
    assert "nothing keeps versions of what its subscription writes to DiaObject" in said, said
    with connect(world.follower) as session:
        assert newest(session) == before
    world.done("follow", "add", "ppdb")
    assert world.note() == before + 1
    whole(world)


def test_a_primary_that_keeps_versions_itself_is_refused(
    world: PpdbFollowing, replicating_server: EphemeralServer
) -> None:
    url = create_database(replicating_server.url(), "versioned_ppdb")
    alone(
        url, "CREATE SCHEMA other", 'CREATE TABLE other."DiaObject" (id bigint PRIMARY KEY, snap_from bigint)'
    )
    place = url.render_as_string(hide_password=False)
    result = world.run("follow", "add", "other", "--primary", place)
    assert result.exit_code == 1
    assert "keeps the versions of DiaObject itself" in result.output
    drop_database(replicating_server.url(), "versioned_ppdb")


def test_what_is_no_longer_followed_stays_with_its_versions_and_may_be_written(world: PpdbFollowing) -> None:
    before = world.note()
    world.done("follow", "remove", "ppdb")
    with connect(world.primary) as session:
        query = "SELECT count(*) FROM pg_replication_slots WHERE slot_name ~ '^tapdb_ppdb'"
        assert session.execute(query).fetchone() == (0,)
    whole(world)
    local(world, 'UPDATE ppdb."DiaSource" SET flux = 51')
    with connect(world.follower) as session:
        assert newest(session) == before + 1
    # Versions go on where it is followed again.
    world.done("follow", "add", "ppdb", "--primary", world.place)
    assert world.note() == before + 2
    assert set(world.states[before + 2]) == set(FOLLOWED)
    whole(world)
