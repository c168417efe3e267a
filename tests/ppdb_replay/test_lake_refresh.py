"""A lake that is brought up to date: whole snapshots, killed at any moment, beside readers, on S3."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
import sqlalchemy as sa
from botocore.config import Config
from click.testing import CliRunner
from hats.io.validation import is_valid_catalog
from psycopg import sql

from examples.apdb import Survey, store_visit, update_all_kinds
from ppdb_replay.errors import LakeBusyError, LakeHistoryError, LakeUnreadableError
from ppdb_replay.lake import refresh as refreshing
from ppdb_replay.lake.chain import one_at_a_time
from ppdb_replay.lake.export import chunk_condition, export_lake
from ppdb_replay.lake.layout import relations_of
from ppdb_replay.lake.opening import OpenLake, find_state, open_lake, require_state
from ppdb_replay.lake.refresh import Refreshed, compact_lake, refresh_lake
from ppdb_replay.lake.storage import open_store
from ppdb_replay.replication.replicate import replicate
from ppdb_replay.versions.columns import add_column, drop_column
from ppdb_replay.versions.install import install, uninstall
from tapdb.cli.root import main
from tapdb.postgres.engine import checked_connection, driver_connection
from tests.ppdb_replay.changing_ppdb import change
from tests.ppdb_replay.lake_rows import assert_same, differences
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, insert_object

NIGHTS = 3
_VISITS = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """A lake, and its database, which goes on."""

    url: sa.URL
    where: str

    def refresh(self, **options: Any) -> Refreshed:
        """Add what the database has written since."""
        with checked_connection(self.url) as connection:
            return refresh_lake(connection, self.where, **options)

    def check(self) -> None:
        """Compare all rows with the database."""
        with open_lake(self.where) as lake, connect(self.url) as ppdb:
            assert_same(lake, ppdb)


def _export(url: sa.URL, where: str | Path) -> Kept:
    with checked_connection(url) as connection:
        export_lake(connection, where, piece_rows=30)
    return Kept(url, str(where))


@pytest.fixture(scope="module")
def written(
    clone_for_session: Callable[[str], sa.URL],
    ppdb_plain_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Kept:
    """Return a lake and its database, both only to be copied."""
    url = clone_for_session(ppdb_plain_template)
    with engine_connection(url) as connection:
        install(connection, tables=["DiaObject", "DiaSource", "DiaForcedSource"])
    with connect(url, autocommit=True) as ppdb:
        change(ppdb, 1)
    return _export(url, tmp_path_factory.mktemp("written") / "lake")


@pytest.fixture
def database(written: Kept, clone_database: Callable[[str], sa.URL]) -> sa.URL:
    """Return a copy of that database."""
    return clone_database(str(written.url.database))


@pytest.fixture
def kept(written: Kept, database: sa.URL, tmp_path: Path) -> Kept:
    """Return a lake and its database."""
    shutil.copytree(written.where, tmp_path / "lake")
    return Kept(database, str(tmp_path / "lake"))


def _night(kept: Kept, seed: int) -> None:
    with connect(kept.url, autocommit=True) as ppdb:
        change(ppdb, seed)


def test_a_lake_follows_its_database_through_changes_of_columns_and_tables(kept: Kept) -> None:
    _night(kept, 2)
    kept.refresh(small_files=1)
    kept.check()

    with engine_connection(kept.url) as connection:
        add_column(connection, "DiaSource", "extra", "real", description="One more.")
    with engine_connection(kept.url) as connection:
        add_column(connection, "DiaObject", "label", "text")
    with connect(kept.url, autocommit=True) as ppdb:
        ppdb.execute('UPDATE ppdb."DiaSource" SET extra = \'NaN\' WHERE "diaSourceId" % 3 = 0')
        ppdb.execute('UPDATE ppdb."DiaObject" SET label = \'ö\' WHERE "diaObjectId" % 4 = 0')
    _night(kept, 3)
    kept.refresh(small_files=1, keep_s=0)
    kept.check()
    with open_lake(kept.where) as lake, connect(kept.url) as ppdb:
        assert [one.name for one in lake.tables["DiaSource"].columns][-1] == "extra"
        assert lake.connection.execute(
            'SELECT count(*) FROM lake."DiaSource" WHERE extra > 1e30'
        ).fetchone() == (
            ppdb.execute('SELECT count(*) FROM ppdb_history."DiaSource" WHERE extra > 1e30').fetchone()
        )

    with engine_connection(kept.url) as connection:
        drop_column(connection, "DiaObject", "label")
    with engine_connection(kept.url) as connection:
        driver_connection(connection).execute(
            'CREATE TABLE ppdb."Late" (id integer PRIMARY KEY, ra double precision, dec double precision)'
        )
        driver_connection(connection).execute(
            'INSERT INTO ppdb."Late" SELECT i, i, i FROM generate_series(1, 9) i'
        )
        install(connection, tables=["Late"])
    with connect(kept.url, autocommit=True) as ppdb:
        ppdb.execute('DELETE FROM ppdb."Late" WHERE id = 3')
    _night(kept, 4)
    kept.refresh(small_files=1, keep_s=0)
    kept.check()
    with open_lake(kept.where) as lake:
        (label,) = (one for one in lake.tables["DiaObject"].columns if one.name == "label")
        assert label.snap_to < lake.newest_snapshot
        assert lake.tables["Late"].position == ("ra", "dec")

    before = kept.refresh().state
    assert compact_lake(kept.where, piece_rows=50, keep_s=0).snapshot_id == before.snapshot_id
    kept.check()
    state, _ = require_state(open_store(kept.where))
    assert set(state.hats) == {*before.hats, "Late"}
    for folder in state.hats.values():
        assert is_valid_catalog(Path(kept.where) / folder, strict=True)
    # Once more is nothing: files that are there would be written again, and removed as those of before.
    assert compact_lake(kept.where, keep_s=0) == state
    for seed in (5, 6):
        _night(kept, seed)
        kept.refresh(keep_s=0)
        kept.check()
    # Nothing of earlier states is left.
    assert {one.parent.name for one in Path(kept.where).rglob("hats.properties")} == {
        f"snapshot-{before.snapshot_id}"
    }
    assert len(list((Path(kept.where) / "catalogs").iterdir())) == 1


def test_a_column_may_be_added_to_what_has_no_rows(ppdb_database: sa.URL, tmp_path: Path) -> None:
    with checked_connection(ppdb_database) as connection:
        export_lake(connection, tmp_path / "lake")
    kept = Kept(ppdb_database, str(tmp_path / "lake"))
    with engine_connection(kept.url) as connection:
        add_column(connection, "DiaSource", "extra", "real")
    assert kept.refresh().snapshots == 1
    _night(kept, 1)
    kept.refresh()
    kept.check()


def test_snapshots_come_one_after_the_other_or_many_at_once(kept: Kept) -> None:
    seen = []
    first, _ = require_state(open_store(kept.where))
    _night(kept, 2)

    def note(*_: object) -> None:
        seen.append(require_state(open_store(kept.where))[0].snapshot_id)

    done = kept.refresh(batch_rows=1, progress=note)
    assert seen == list(range(first.snapshot_id, done.state.snapshot_id))
    assert done.snapshots == len(seen)
    kept.check()
    _night(kept, 3)
    seen.clear()
    assert kept.refresh(progress=note).snapshots > 3
    assert len(seen) == 1
    assert kept.refresh().snapshots == 0


def test_twenty_nights_of_real_replication_are_in_the_lake_as_in_the_database(
    survey: Survey, survey_database: sa.URL, ppdb: psycopg.Connection[Any], tmp_path: Path
) -> None:
    _follow_nights(survey, survey_database, ppdb, tmp_path, NIGHTS)


@pytest.mark.soak
def test_twenty_nights_really_are_twenty(
    survey: Survey, survey_database: sa.URL, ppdb: psycopg.Connection[Any], tmp_path: Path
) -> None:
    _follow_nights(survey, survey_database, ppdb, tmp_path, 20)


def _follow_nights(
    survey: Survey, url: sa.URL, ppdb: psycopg.Connection[Any], folder: Path, nights: int
) -> None:
    """Replicate nights, refresh after each, and compare the states of several snapshots after each."""
    kept = Kept(url, str(folder / "lake"))
    known: dict[int, dict[str, list[tuple[Any, ...]]]] = {}
    for night in range(nights):
        for _ in range(_VISITS):
            store_visit(survey)
        if night:
            update_all_kinds(survey)
        replicate(survey.replica, ppdb)
        known[_clock(ppdb)] = _natural(ppdb)
        if night:
            kept.refresh(small_files=2)
        else:
            with checked_connection(url) as connection:
                export_lake(connection, kept.where, piece_rows=40)
        with open_lake(kept.where) as lake:
            assert_same(lake, ppdb)
            for snapshot, tables in known.items():
                for table, rows in tables.items():
                    assert _as_of(lake, table, snapshot) == rows, (snapshot, table)
        ppdb.rollback()
    assert len(known) == nights


_COLUMNS = {
    "DiaSource": '"diaSourceId", "diaObjectId", "ssObjectId", "timeWithdrawnMjdTai", "psfFlux"',
    "DiaObject": '"diaObjectId", "validityStartMjdTai", "validityEndMjdTai", "nDiaSources"',
    "DiaForcedSource": '"diaObjectId", visit, detector, "timeWithdrawnMjdTai"',
}


def _clock(ppdb: psycopg.Connection[Any]) -> int:
    (number,) = ppdb.execute("SELECT snapshot_id FROM ppdb_history.clock").fetchall()[0]
    return int(number)


def _natural(ppdb: psycopg.Connection[Any]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the natural tables hold now: what a query as of this snapshot is to see later."""
    with psycopg.Cursor(ppdb) as cursor:
        return {
            table: sorted(
                cursor.execute(f'SELECT {columns} FROM ppdb."{table}"'.encode(), binary=True).fetchall(),  # noqa: S608 - a name of the test
                key=repr,
            )
            for table, columns in _COLUMNS.items()
        }


def _as_of(lake: OpenLake, table: str, snapshot: int) -> list[tuple[Any, ...]]:
    query = f'FROM lake."{table}" SELECT {_COLUMNS[table]} WHERE snap_from <= ? AND snap_to > ?'
    return sorted(lake.connection.execute(query, [snapshot, snapshot]).fetchall(), key=repr)


def _kill(kept: Kept, kind: str, kills: int) -> dict[str, int]:
    """Kill what changes a lake, again and again, and compare each state that is seen between."""
    arguments = [sys.executable, "-m", "tests.ppdb_replay.lake_killing", kind, kept.where, str(kills)]
    address = kept.url.render_as_string(hide_password=False)
    done = subprocess.run(
        arguments, env={**os.environ, "TAPDB_URL": address}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    counted: dict[str, int] = json.loads(done.stdout)
    kept.check()
    return counted


def test_a_compaction_that_is_killed_leaves_the_lake_as_it_was(kept: Kept) -> None:
    _night(kept, 2)
    before = kept.refresh().state.snapshot_id
    assert _kill(kept, "compact", 5)["half_done"] >= 1
    state, _ = require_state(open_store(kept.where))
    assert state.hats_snapshot_id == before
    for folder in state.hats.values():
        assert is_valid_catalog(Path(kept.where) / folder, strict=True)


@pytest.mark.parametrize("times", [9, pytest.param(60, marks=pytest.mark.soak)])
def test_a_refresh_that_is_killed_leaves_whole_snapshots(kept: Kept, times: int) -> None:
    for seed in (2, 3):
        _night(kept, seed)
    killed = _kill(kept, "refresh", times)
    assert killed["killed"] >= times // 2, killed
    assert killed["half_done"] >= times // 3, killed
    assert killed["states"] >= 2, killed
    # What died has left files, and they go.
    assert _files(kept) >= _known_files(kept)
    for seed in (4, 5):
        _night(kept, seed)
        kept.refresh(keep_s=0)
    assert _files(kept) == _known_files(kept)
    kept.check()


def _files(kept: Kept) -> set[str]:
    return {str(one) for one in (Path(kept.where) / "main").rglob("*.parquet")}


def _known_files(kept: Kept) -> set[str]:
    """Return the files that a query can read, and those that are noted as to be removed."""
    metadata = "__ducklake_metadata_lake"
    noted = f"SELECT path FROM {metadata}.ducklake_files_scheduled_for_deletion"  # noqa: S608 - a constant
    with open_lake(kept.where) as lake:
        found = {str(Path(kept.where) / path) for (path,) in lake.connection.execute(noted).fetchall()}
        for relation in (name for table in lake.tables.values() for name in relations_of(table)):
            listed = "SELECT data_file, delete_file FROM ducklake_list_files('lake', ?)"
            for files in lake.connection.execute(listed, [relation]).fetchall():
                found |= {file for file in files if file is not None}
    return found


def test_readers_beside_a_refresh_see_whole_snapshots(kept: Kept) -> None:
    _night(kept, 2)
    query = 'SELECT count(*) FROM {}."DiaSource" WHERE snap_from <= {S} AND snap_to > {S}'
    with connect(kept.url) as ppdb:
        expected = {
            number: ppdb.execute(query.format("ppdb_history", S=number).encode()).fetchone()
            for number in range(_clock(ppdb) + 1)
        }
    seen: list[int] = []
    wrong: list[object] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            with open_lake(kept.where) as lake:
                newest = lake.newest_snapshot
                for relation in ("DiaSource", "DiaSource_by_object"):
                    text = query.format("lake", S=newest).replace("DiaSource", relation)
                    found = lake.connection.execute(text).fetchone()
                    if found != expected[newest]:
                        wrong.append((newest, relation, found, expected[newest]))
                seen.append(newest)

    with open_lake(kept.where) as early:
        before = early.connection.execute('SELECT sum("diaSourceId") FROM lake."DiaSource"').fetchone()
        reader = threading.Thread(target=read)
        reader.start()
        kept.refresh(batch_rows=1)
        compact_lake(kept.where)
        ended.set()
        reader.join()
        # It was opened before, and reads the files that it found then.
        assert (
            early.connection.execute('SELECT sum("diaSourceId") FROM lake."DiaSource"').fetchone() == before
        )
    assert wrong == []
    assert len(set(seen)) >= 3


def test_a_refresh_that_forgets_closed_versions_is_found(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    _night(kept, 2)
    with monkeypatch.context() as patched:
        patched.setattr(refreshing, "_remove", lambda *_: None)
        kept.refresh()
    with open_lake(kept.where) as lake, connect(kept.url) as ppdb:
        found = [one for one in differences(lake, ppdb) if "missing" in one]
    # Versions that have ended are there as open ones, too.
    assert {one.partition(":")[0] for one in found} >= {"DiaSource", "DiaSource_by_object", "DiaObject"}


def test_a_refresh_that_does_not_read_closed_versions_refuses_itself(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    _night(kept, 2)
    state = require_state(open_store(kept.where))
    monkeypatch.setattr(
        refreshing,
        "chunk_condition",
        lambda chunk, number: sql.SQL("FALSE") if chunk.ended else chunk_condition(chunk, number),
    )
    with pytest.raises(LakeHistoryError, match="versions of DiaForcedSource that"):
        kept.refresh()
    assert require_state(open_store(kept.where)) == state


def test_a_lake_of_another_database_is_refused(
    kept: Kept, clone_database: Callable[[str], sa.URL], ppdb_template: str
) -> None:
    state = require_state(open_store(kept.where))
    copy = clone_database(str(kept.url.database))
    other = clone_database(ppdb_template)
    for url, seed in ((copy, 2), (other, 7)):
        with connect(url, autocommit=True) as ppdb:
            change(ppdb, seed)
            change(ppdb, seed + 1)
    _night(kept, 5)
    for url, problem in ((other, "another history"), (copy, None)):
        # A copy that went another way since has the lake's snapshots all the same.
        if problem is not None:
            with pytest.raises(LakeHistoryError, match=problem):
                Kept(url, kept.where).refresh()
    assert require_state(open_store(kept.where)) == state
    kept.refresh()
    with pytest.raises(LakeHistoryError, match=r"another history|has not"):
        Kept(copy, kept.where).refresh()
    status = CliRunner().invoke(
        main, ["ppdb", "lake", "refresh", kept.where, "--url", other.render_as_string(hide_password=False)]
    )
    assert status.exit_code == 1
    assert "another history" in status.stderr
    kept.check()


def test_rows_that_were_changed_behind_the_clock_do_not_reach_a_lake(kept: Kept) -> None:
    with connect(kept.url, autocommit=True) as ppdb:
        insert_object(ppdb, 77)
        ppdb.execute('ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL')
        ppdb.execute('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 77')
    with pytest.raises(LakeHistoryError, match="of 1 versions of DiaObject that began, 0"):
        kept.refresh()


def test_a_table_whose_versions_are_kept_no_longer_is_named(kept: Kept) -> None:
    with engine_connection(kept.url) as connection:
        uninstall(connection, tables=["DiaForcedSource"], discard_history=True)
    _night_of_objects(kept)
    with pytest.raises(LakeHistoryError, match="DiaForcedSource is not versioned"):
        kept.refresh()


def _night_of_objects(kept: Kept) -> None:
    with connect(kept.url, autocommit=True) as ppdb:
        insert_object(ppdb, 1234)


def test_one_process_at_a_time_changes_a_lake(kept: Kept) -> None:
    _night(kept, 2)
    store = open_store(kept.where)
    with store.locked(), pytest.raises(LakeBusyError):
        kept.refresh()
    with store.locked(), pytest.raises(LakeBusyError):
        compact_lake(kept.where)
    with (
        checked_connection(kept.url) as connection,
        one_at_a_time(connection, store.url),
        pytest.raises(LakeBusyError, match="nothing was changed"),
    ):
        kept.refresh()
    kept.refresh()


def test_a_state_that_another_has_published_meanwhile_is_not_replaced(kept: Kept) -> None:
    store = open_store(kept.where)
    found = find_state(store)
    assert found is not None
    _night(kept, 2)
    kept.refresh()
    with pytest.raises(LakeBusyError):
        store.replace("lake.json", b"{}", found[1])


def test_what_is_no_lake_is_named(tmp_path: Path) -> None:
    with pytest.raises(LakeUnreadableError, match="tapdb ppdb lake export"), open_lake(tmp_path):
        pass
    (tmp_path / "lake.json").write_text('{"format": 99}')
    with pytest.raises(LakeUnreadableError, match="another release"), open_lake(tmp_path):
        pass
    (tmp_path / "lake.json").write_text("[")
    with pytest.raises(LakeUnreadableError, match="not as tapdb writes it"), open_lake(tmp_path):
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a bucket on what stands in for S3.

    In a process of its own: DuckDB waits for it, some of the time without letting Python's other threads run.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
        ("AWS_ACCESS_KEY_ID", "somebody"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    boto3.client("s3", config=Config(retries={"max_attempts": 30})).create_bucket(Bucket="lakes")
    yield "lakes"
    server.terminate()
    server.wait()


def test_a_lake_may_lie_on_s3(bucket: str, database: sa.URL) -> None:
    kept = _export(database, f"s3://{bucket}/one/lake")
    _night(kept, 2)
    kept.refresh(keep_s=0)
    kept.check()
    compact_lake(kept.where, keep_s=0)
    _night(kept, 3)
    kept.refresh(keep_s=0)
    kept.check()
    store = open_store(kept.where)
    found = find_state(store)
    assert found is not None
    with pytest.raises(LakeBusyError):
        store.replace("lake.json", b"{}", '"of another"')
    with checked_connection(kept.url) as connection, pytest.raises(LakeUnreadableError, match="it is there"):
        export_lake(connection, kept.where)
    names = [one.name for one in store.files("main")]
    assert f"{found[0].hats['DiaObject']}/hats.properties" in names
    assert len([name for name in names if name.endswith("hats.properties")]) == 3
