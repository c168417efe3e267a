"""A watched query prints each row that it gains, once, whatever writers do and whatever dies."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from adql import parse
from examples.lsstcam import Pair, ingest_visit, next_pointing
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import FIRST_RUN, RAW_RUN, TAGGED_GOOD
from examples.lsstcam.pair import clone_repository
from obscore_view.view.make import drop_view
from obscore_view.view.store import read_stored_views
from prompt_products.errors import (
    JournalLostError,
    JournalNotKeptError,
    JournalRefusedError,
    PositionError,
    QueryNotWatchedError,
)
from prompt_products.journal.entries import keep, prune, read_entries, read_journals, require_journal
from prompt_products.journal.offered import TASKS
from prompt_products.journal.watching import JournalWatch
from tap_query.execute import read_server
from tap_query.metadata import read_metadata
from tap_query.watching import WatchLimits
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.cli.root import main
from tapdb.postgres.engine import driver_connection
from tapdb.queue.task import Running
from tapdb.server.environment import client_environment
from tests.obscore_view.histories import UndoneError, Writer
from tests.plugins.view_fixtures import make_test_view, open_engine, view_config_text

VIEW = "ivoa.obscore"
TAPDB = str(Path(sys.executable).with_name("tapdb"))
IDS = "SELECT registry_dataset_id FROM ivoa.ObsCore"
RAWS = f"{IDS} WHERE lsst_dataset_type IN ('raw', 'exposure_thumbnail')"
ENTRIES = "SELECT count(*) FROM tapdb.journal"


@pytest.fixture(scope="module")
def journaled_template(
    view_template: Pair, clone_for_session: Callable[[str], sa.URL], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Return repositories under views, the journal of one of which is kept; connect to them never."""
    url = clone_for_session(str(view_template.url.database))
    with open_engine(url) as engine, engine.begin() as connection:
        keep(connection, VIEW)
        publish(connection, assemble(connection, []).rows)
    return view_template.clone(url, tmp_path_factory.mktemp("butler") / "journaled")


@pytest.fixture
def pair(journaled_template: Pair, clone_database: Callable[[str], sa.URL], tmp_path: Path) -> Pair:
    """Return repositories with a journal of a test's own, begun in this very database cluster."""
    return journaled_template.clone(clone_database(str(journaled_template.url.database)), tmp_path / "butler")


@pytest.fixture
def engine(pair: Pair) -> Iterator[sa.Engine]:
    with open_engine(pair.url) as engine:
        yield engine


class Watcher:
    """A query that is watched in this process, from look to look."""

    def __init__(self, engine: sa.Engine, query: str, role: str = "") -> None:
        self.engine = engine
        self.role = role
        with self._connect() as connection:
            self.watch = JournalWatch(
                parse(query), read_metadata(connection), read_server(connection), WatchLimits()
            )
        self.position: str | None = None
        self.look()

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        with self.engine.connect() as connection:
            if self.role:
                connection.exec_driver_sql(f"SET ROLE {self.role}")
                connection.commit()
            yield connection
            connection.rollback()
            connection.exec_driver_sql("RESET ROLE")
            connection.commit()

    def look(self) -> list[Any]:
        """Return what the query has gained since the last look: the first column of each row."""
        with self._connect() as connection:
            found = self.watch.gained(driver_connection(connection), self.position)
        self.position = found.position
        return [row[0] for row in found.rows]


def ids(engine: sa.Engine, condition: str) -> set[UUID]:
    """Return what a query over all rows finds: the oracle."""
    with engine.connect() as connection:
        query = f"SELECT registry_dataset_id FROM {VIEW} WHERE {condition}"  # noqa: S608  our own
        return {row[0] for row in driver_connection(connection).execute(query)}


CONDITIONS = {
    "band": "em_filter_name = 'r'",
    "region": "s_ra IS NOT NULL AND calib_level > 1",
    "region text": "s_region IS NOT NULL",
    "cone": "CONTAINS(POINT(s_ra, s_dec), CIRCLE(30, -10, 20)) = 1",
    "run": "lsst_run LIKE 'LSSTCam/prompt/output-2031%'",
    "time": "t_min > 61000 AND target_name IS NOT NULL",
}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_what_a_query_gains_is_what_two_looks_at_all_rows_differ_by(
    pair: Pair, engine: sa.Engine, seed: int
) -> None:
    # PostgreSQL reads what ADQL says of each condition but the cone.
    plain = {name: text for name, text in CONDITIONS.items() if name != "cone"}
    watchers = {name: Watcher(engine, f"{IDS} WHERE {text}") for name, text in CONDITIONS.items()}
    plain["cone"] = (
        "(spoint(radians(s_ra), radians(s_dec)) <-> spoint(radians(30), radians(-10))) <= radians(20)"
    )
    before = {name: ids(engine, text) for name, text in plain.items()}
    gained = Counter[str]()
    with pair.plain.butler(writeable=True) as butler:
        writer = Writer(1, butler, engine, random.Random(seed), pair.plain.content.detector_ids)
        for _ in range(12):
            writer.run(1)
            now = {name: ids(engine, text) for name, text in plain.items()}
            for name, watcher in watchers.items():
                found = watcher.look()
                assert Counter(found) == Counter(now[name] - before[name]), (name, writer.steps[-1])
                gained[name] += len(found)
            before = now
    assert all(gained[name] for name in ("band", "region", "region text"))
    assert all(watcher.look() == [] for watcher in watchers.values())


def ingest(pair: Pair, engine: sa.Engine, seq: int, *, undone: bool = False, runs: int = 1) -> set[UUID]:
    """Ingest raws of so many visits of one writer; return what it has committed: its own journal."""
    mine: set[UUID] = set()
    first = next_pointing(pair.plain.content, 30.0, -10.0)
    with pair.plain.butler(writeable=True) as butler:
        for number in range(runs):
            point = make_pointing(
                first.day_obs,
                first.seq_num + 100 * seq + number,
                30.0,
                -10.0,
                15.0,
                "r_57",
                "beside",
            )
            drops = undone and number % 3 == 2
            with suppress(UndoneError), butler.transaction():
                ingest_visit(butler, pair.plain, point)
                where = {"instrument": point.instrument, "exposure": point.id}
                kinds = ["raw", "exposure_thumbnail"]
                found = butler.registry.queryDatasets(kinds, collections=RAW_RUN, dataId=where)
                came = {ref.id for ref in found}
                if drops:
                    raise UndoneError
                mine |= came
    return mine


def test_a_writer_that_commits_late_is_not_missed_though_its_number_is_small(
    pair: Pair, engine: sa.Engine
) -> None:
    watcher = Watcher(engine, IDS)
    content = pair.plain.content
    first = next_pointing(content, 30.0, -10.0)
    second = make_pointing(first.day_obs, first.seq_num + 1, 31.0, -10.0, 15.0, "r_57", "beside")
    before = ids(engine, "true")
    with pair.plain.butler(writeable=True) as one, pair.plain.butler(writeable=True) as other:
        with one.transaction():
            ingest_visit(one, pair.plain, first)
            ingest_visit(other, pair.plain, second)
            early = set(watcher.look())
            assert early == ids(engine, "true") - before
            assert early
            position = watcher.position
            assert watcher.look() == []
        late = watcher.look()
    assert len(late) == len(set(late))
    assert set(late) == ids(engine, "true") - before - early
    assert late
    # The position is all that it takes: another watch goes on from it.
    again = Watcher(engine, IDS)
    again.position = position
    assert Counter(again.look()) == Counter(late)


def test_what_is_undone_leaves_no_entry_and_what_has_no_news_costs_no_query(
    pair: Pair, engine: sa.Engine
) -> None:
    watcher = Watcher(engine, IDS)
    with engine.connect() as connection:
        before = connection.exec_driver_sql(ENTRIES).scalar()
    with pair.plain.butler(writeable=True) as butler, suppress(UndoneError), butler.transaction():
        ingest_visit(butler, pair.plain, next_pointing(pair.plain.content, 30.0, -10.0))
        raise UndoneError
    with engine.connect() as connection:
        assert connection.exec_driver_sql(ENTRIES).scalar() == before
    assert watcher.look() == []


def test_entries_tell_products_nights_and_identifiers(pair: Pair, engine: sa.Engine) -> None:
    came = ingest(pair, engine, 1)
    with engine.connect() as connection:
        kept = require_journal(connection, VIEW)
        entries = read_entries(connection, kept, most=100)
        query = (
            "SELECT lsst_dataset_type, tapdb.night(t_min, 12) FROM ivoa.obscore "
            "WHERE registry_dataset_id = ANY (%s)"
        )
        rows = driver_connection(connection).execute(query, (list(came),)).fetchall()
    told = [one for one in entries if one["event"] == "come" and {*map(UUID, one["datasets"])} & came]
    assert {one for entry in told for one in entry["dataset_types"]} >= {row[0] for row in rows}
    assert {one for entry in told for one in entry["nights"]} >= {row[1] for row in rows}
    assert {UUID(one) for entry in told for one in entry["datasets"]} >= came


def test_a_tag_lets_a_row_in(
    view_template: Pair, clone_database: Callable[[str], sa.URL], tmp_path: Path
) -> None:
    url = clone_database(str(view_template.url.database))
    repository = clone_repository(view_template.plain, url, tmp_path / "tagged")
    text = view_config_text("ivoa.ObsCore", collection_type="TAGGED").replace(
        "collection_type: RUN", "collection_type: TAGGED"
    )
    head, _, tail = text.partition("collections:\n")
    kept_lines = tail.split("\n\n", 1)[1]
    text = f"{head}collections:\n  - {TAGGED_GOOD}\n\n{kept_lines}".replace(
        "  collection_type: TAGGED\n", "", 1
    )
    with open_engine(url) as engine:
        with engine.begin() as connection:
            for view in read_stored_views(connection):
                drop_view(connection, view)
            make_test_view(connection, text, "plain")
            keep(connection, VIEW)
            publish(connection, assemble(connection, []).rows)
        watcher = Watcher(engine, f"{IDS} WHERE calib_level = 2")
        with repository.butler(writeable=True) as butler:
            refs = list(butler.registry.queryDatasets("visit_image", collections=FIRST_RUN))
            tagged = {
                one.dataId for one in butler.registry.queryDatasets("visit_image", collections=TAGGED_GOOD)
            }
            ref = next(one for one in refs if one.dataId not in tagged)
            butler.registry.associate(TAGGED_GOOD, [ref])
            assert watcher.look() == [ref.id]
            butler.registry.disassociate(TAGGED_GOOD, [ref])
            assert watcher.look() == []
            butler.registry.associate(TAGGED_GOOD, [ref])
            assert watcher.look() == [ref.id]


def test_a_release_that_passes_lets_rows_in_for_those_who_wait_for_it(
    view_template: Pair, clone_database: Callable[[str], sa.URL], tmp_path: Path
) -> None:
    pair = view_template.clone(clone_database(str(view_template.url.database)), tmp_path / "release")
    ends = sorted({one.end_tai_ns for one in pair.plain.content.pointings})
    seconds = 5
    hours = (time.time() + seconds - (ends[len(ends) // 2] / 1e9 - 37)) / 3600
    with open_engine(pair.url) as engine:
        with engine.begin() as connection:
            for view in read_stored_views(connection):
                drop_view(connection, view)
            release = f"{{view: ivoa.ObsCore, embargo: [{{hours: {hours}}}]}}"
            make_test_view(connection, view_config_text("inner_.ObsCore", release=release), "plain")
            kept = keep(connection, VIEW)
            assert (kept.view, kept.shown) == ("inner_.obscore", VIEW)
            publish(connection, assemble(connection, []).rows)
        began = seen(engine)
        reader, whole = Watcher(engine, IDS, "tapdb_reader"), Watcher(engine, IDS)
        reader.watch._pause_s = 0.0  # a look for releases each time
        came = ingest(pair, engine, 1)
        assert set(whole.look()) >= came, "who sees all rows waits for no release"
        gained: list[UUID] = []
        end = time.monotonic() + 3 * seconds
        while time.monotonic() < end and not gained:
            gained += reader.look()
            time.sleep(0.1)
        time.sleep(0.2)
        gained += reader.look()
        assert Counter(gained) == Counter(seen(engine) - began)
        assert gained
        assert not came & set(gained)
        assert whole.look() == []


def seen(engine: sa.Engine) -> set[UUID]:
    """Return what a reader sees that sees what is released."""
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE tapdb_reader")
        return set(connection.exec_driver_sql("SELECT registry_dataset_id FROM ivoa.obscore").scalars())


SHAPES = {
    "a join": "SELECT a.obs_id FROM ivoa.ObsCore AS a, ivoa.ObsCore AS b WHERE a.obs_id = b.obs_id",
    "DISTINCT": "SELECT DISTINCT obs_id FROM ivoa.ObsCore",
    "GROUP BY": "SELECT obs_id FROM ivoa.ObsCore GROUP BY obs_id",
    "an aggregate": "SELECT COUNT(*) AS n FROM ivoa.ObsCore",
    "ORDER BY": "SELECT obs_id FROM ivoa.ObsCore ORDER BY obs_id",
    "TOP": "SELECT TOP 3 obs_id FROM ivoa.ObsCore",
    "OFFSET": "SELECT obs_id FROM ivoa.ObsCore OFFSET 3",
    "WITH": "WITH x AS (SELECT obs_id FROM ivoa.ObsCore) SELECT obs_id FROM x",
    "UNION, EXCEPT or INTERSECT": "SELECT obs_id FROM ivoa.ObsCore UNION SELECT obs_id FROM ivoa.ObsCore",
    "a subquery": "SELECT obs_id FROM ivoa.ObsCore WHERE obs_id IN (SELECT obs_id FROM ivoa.ObsCore)",
    "a condition on access_estsize": "SELECT obs_id FROM ivoa.ObsCore WHERE access_estsize > 3",
}


def test_queries_of_other_shapes_are_refused_by_name(engine: sa.Engine) -> None:
    for shape, query in SHAPES.items():
        with pytest.raises(QueryNotWatchedError, match=f"^a query with {shape}"):
            Watcher(engine, query)


def test_what_cannot_be_watched_says_why(pair: Pair, engine: sa.Engine) -> None:
    with pytest.raises(JournalNotKeptError, match=r"tapdb journal keep tap_schema\.tables"):
        Watcher(engine, "SELECT table_name FROM tap_schema.tables")
    watcher = Watcher(engine, IDS)
    good = str(watcher.position)
    for bad in ("", "7", "1/2/3", "1/9:3:/infinity", "1/1:2:-1/infinity", "1/1:2:/today", "x" * 500):
        watcher.position = bad
        with pytest.raises(PositionError, match="is no position"):
            watcher.look()
    watcher.position = good.replace(good.partition("/")[0], "4711", 1)
    with pytest.raises(JournalLostError, match="begin without a position"):
        watcher.look()
    with engine.begin() as connection:
        with pytest.raises(JournalNotKeptError, match=r"it is kept of ivoa\.obscore"):
            require_journal(connection, "no.view")
        with pytest.raises(JournalRefusedError, match="no such ObsCore view"):
            keep(connection, "no.view")
        unkept = next(one for one in read_stored_views(connection) if one.kept == "")
        with pytest.raises(JournalRefusedError, match="no kept tables"):
            keep(connection, f"{unkept.schema}.{unkept.name}")


def test_old_entries_go_and_who_comes_after_them_is_told(pair: Pair, engine: sa.Engine) -> None:
    watcher, (task,) = Watcher(engine, IDS), TASKS
    old = watcher.position
    came = ingest(pair, engine, 1)
    assert set(watcher.look()) >= came
    task.run(Running(1, engine), timestamp=0)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(ENTRIES).scalar()
        connection.exec_driver_sql("UPDATE tapdb.journal SET written_at = written_at - interval '8 days'")
    task.run(Running(1, engine), timestamp=0)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(ENTRIES).scalar() == 0
        assert prune(connection) == 0
    assert watcher.look() == []
    watcher.position = old
    with pytest.raises(JournalLostError):
        watcher.look()


def test_a_journal_begins_again_with_the_kept_tables_and_stays_without(pair: Pair, engine: sa.Engine) -> None:
    watcher = Watcher(engine, IDS)
    with engine.connect() as connection:
        (before,) = read_journals(connection)
    run = CliRunner()
    url = pair.url.render_as_string(hide_password=False)
    done = run.invoke(main, ["tap-schema", "publish", "--url", url])
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
    with engine.connect() as connection:
        (same,) = read_journals(connection)
    assert (same.number, same.is_current, done.exception) == (before.number, True, done.exception)
    config = view_config_text(geometry="table", columns="{obs_creator_name: somebody}")
    file = pair.plain.root.parent / "config.yaml"
    file.write_text(config)
    done = run.invoke(main, ["obscore", "refresh", "--view", VIEW, "-c", str(file), "--url", url])
    assert done.exit_code == 0, (done.output, done.stderr, done.exception)
    with engine.connect() as connection:
        (now,) = read_journals(connection)
    assert now.is_current
    if now.number != before.number:
        with pytest.raises(JournalLostError):
            watcher.look()
        watcher = Watcher(engine, IDS)
    assert set(watcher.look()) == set()
    came = ingest(pair, engine, 1)
    assert set(watcher.look()) >= came


def test_a_full_queue_of_notifications_fails_no_commit_and_hides_no_row(
    pair: Pair, engine: sa.Engine
) -> None:
    watcher = Watcher(engine, IDS)
    plain = pair.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as listener, psycopg.connect(plain) as holder:
        listener.execute("LISTEN tapdb_journal")
        # Who listens in a transaction that does not end keeps the queue from being emptied.
        holder.execute("LISTEN other")
        holder.commit()
        holder.execute("SELECT 1")
        with psycopg.connect(plain, autocommit=True) as noisy:
            noisy.execute("SELECT pg_notify('other', n || repeat('x', 7000)) FROM generate_series(1, 2000) n")
            used = noisy.execute("SELECT pg_notification_queue_usage()").fetchone()
            assert used is not None
            assert used[0] > 0
            noisy.execute(f"ALTER DATABASE {pair.url.database} SET tapdb.notify_below = {used[0] / 2:.9f}")
        came = ingest(pair, engine, 1)
        assert list(listener.notifies(timeout=0.3)) == []
        assert set(watcher.look()) >= came
        holder.rollback()
        holder.execute("UNLISTEN *")
        holder.commit()
        with psycopg.connect(plain, autocommit=True) as noisy:
            noisy.execute(f"ALTER DATABASE {pair.url.database} RESET tapdb.notify_below")
        ingest(pair, engine, 2)
        # The control: with room in the queue each commit is told.
        assert list(listener.notifies(timeout=5, stop_after=1))


def test_without_notify_nothing_is_sent_and_no_row_is_missed(pair: Pair, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        keep(connection, VIEW, wakes=False)
    watcher = Watcher(engine, IDS)
    plain = pair.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as listener:
        listener.execute("LISTEN tapdb_journal")
        came = ingest(pair, engine, 1)
        assert list(listener.notifies(timeout=0.3)) == []
    assert set(watcher.look()) >= came


def lines_of(file: Path) -> list[str]:
    return [json.loads(line)["registry_dataset_id"] for line in file.read_text().splitlines()]


@contextmanager
def watching(pair: Pair, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``tapdb watch`` in a process of its own."""
    environment = client_environment(pair.url)
    command = [TAPDB, "watch", RAWS, "-o", str(file)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def test_each_row_is_printed_once_under_three_writers_though_the_command_is_killed(
    pair: Pair, engine: sa.Engine, tmp_path: Path
) -> None:
    file, chance = tmp_path / "rows", random.Random(7)
    journals: dict[int, set[UUID]] = {}
    noted = file.with_name("rows.position")

    def write(number: int) -> None:
        journals[number] = ingest(pair, engine, number, undone=True, runs=4)

    with watching(pair, file):
        _until(noted.exists)
    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2, 3)]
    for one in writers:
        one.start()
    while any(one.is_alive() for one in writers):
        with watching(pair, file) as process:
            time.sleep(0.6 + chance.random())
            if chance.random() < 0.5:
                # The server ends its sessions: it comes back by itself.
                with engine.connect() as connection:
                    connection.exec_driver_sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND application_name LIKE 'tapdb watch%%'"
                    )
                time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()
    for one in writers:
        one.join()
    expected = Counter(str(one) for mine in journals.values() for one in mine)
    assert set(expected.values()) == {1}
    with watching(pair, file):
        _until(lambda: len(lines_of(file)) >= len(expected), 30)
        time.sleep(0.3)
    assert Counter(lines_of(file)) == expected


def _until(found: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def run_command(pair: Pair, *words: str) -> Result:
    url = pair.url.render_as_string(hide_password=False)
    return CliRunner().invoke(main, [*words, "--url", url])


def test_commands_keep_list_watch_prune_and_drop(pair: Pair, engine: sa.Engine) -> None:
    first = run_command(pair, "watch", IDS, "--once", "--positions")
    assert first.exit_code == 0, (first.output, first.exception)
    position = json.loads(first.stdout)["position"]
    came = ingest(pair, engine, 1)
    done = run_command(pair, "watch", IDS, "--once", "--positions", "--since", position)
    *rows, last = map(json.loads, done.stdout.splitlines())
    assert {UUID(one["registry_dataset_id"]) for one in rows} >= came
    assert run_command(pair, "watch", IDS, "--once", "--since", last["position"]).stdout == ""
    listed = json.loads(run_command(pair, "journal", "list", VIEW, "--format", "json").stdout)
    assert "come" in json.dumps(listed)
    assert "Deleted 0 entries" in run_command(pair, "journal", "prune").stderr
    assert (
        run_command(pair, "journal", "keep", VIEW, "--no-notify").stderr == f"Keeps the journal of {VIEW}.\n"
    )
    assert run_command(pair, "watch", IDS, "--once", "--since", last["position"]).exit_code == 1
    assert run_command(pair, "journal", "drop", VIEW).exit_code == 0
    assert run_command(pair, "journal", "drop", VIEW).exit_code == 1
    refused = run_command(pair, "watch", SHAPES["TOP"])
    assert (refused.exit_code, "a query with TOP is not watched" in refused.stderr) == (2, True)
