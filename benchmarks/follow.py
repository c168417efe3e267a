"""A follower beside a primary, two servers on one machine: how far behind, how fast, and what it costs.

The repository is grown to some visits of 189 detectors. Both servers wait for the disk at a commit, as
primaries do. What is compared is measured in turn.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

import psycopg
import sqlalchemy as sa
from click.testing import CliRunner
from lsst.daf.butler import Butler
from psycopg import sql

from benchmarks.results_file import RESULTS, Reach, missed, print_table, say, write_results
from examples.lsstcam import MINI, OBSCORE_CONFIG, Repository, make_repository
from examples.lsstcam.content import make_pointing
from examples.lsstcam.grow import grow
from examples.lsstcam.layout import RAW_RUN
from examples.lsstcam.records import exposure_records
from obscore_view.config.parse import parse_config
from obscore_view.follow.following import follow, plan_following
from obscore_view.follow.state import copied_tables
from tapdb.cli.root import main as tapdb
from tapdb.postgres.engine import checked_connection, create_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "SERVER_SETTINGS", "main", "measure_follow"]

REACHES = (
    Reach(
        "lag_s", 0.05, "s from Butler's commit of 189 raws to the rows in the view of the follower, median"
    ),
    Reach("lag_99_s", 0.5, "the same, 99 %"),
    Reach("primary_ingest_ratio", 1.03, "ingest with / without a follower"),
    Reach("init_ratio", 1.5, "initial copy / pg_dump and pg_restore of the same tables"),
    Reach("apply_slowness", 0.2, "rows a second of Butler's own ingest / applied by the follower"),
)

SERVER_SETTINGS = {
    "wal_level": "logical",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "8GB",
    "shared_buffers": "512MB",
    "max_worker_processes": "16",
}

_NAME, _SCHEMA, _DAY_OBS = "follow", "main", 20_260_501
_PATIENCE_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Sides:
    repository: Repository
    primary: sa.URL
    follower: sa.URL


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/follow.json``; return 1 if something was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks follow", description=__doc__)
    parser.add_argument("--visits", type=int, default=5300, help="visits of 189 images that are there first")
    parser.add_argument("--rounds", type=int, default=100, help="ingests with, and without, a follower")
    parser.add_argument("--chips", type=int, default=189, help="detectors of each")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIRECTORY")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tapdb-follow-") as folder:
        figures = measure_follow(Path(folder), visits=given.visits, rounds=given.rounds, chips=given.chips)
    say(f"written to {write_results(_NAME, figures, given.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def measure_follow(root: Path, *, visits: int, rounds: int, chips: int) -> dict[str, float]:
    """Return all figures.

    Parameters
    ----------
    root
        Folder for the files of the repository.
    visits
        Visits that are there before the follower.
    rounds
        Ingests with, and without, a follower.
    chips
        Detectors of each.
    """
    with ExitStack() as stack:
        one, other = (stack.enter_context(EphemeralServer(settings=SERVER_SETTINGS)) for _ in range(2))
        primary = create_database(one.url(), "repository", template="template0")
        with checked_connection(primary) as connection:
            install_extensions(connection)
            connection.commit()
        repository = make_repository(primary, root / "repository", schema=_SCHEMA, content=MINI)
        grow(primary, _SCHEMA, visits=visits, raw_exposures=visits // 10)
        say("the repository is there")
        follower = create_database(other.url(), "serve", template="template0")
        sides = _Sides(repository, primary, follower)
        figures = _measure_copy(sides, root)
        butler = stack.enter_context(repository.butler(writeable=True))
        figures |= _measure_ingest(sides, butler, rounds, chips)
        figures |= _measure_backlog(sides, butler, max(1, min(530, visits)), chips)
        return figures


def _measure_copy(sides: _Sides, root: Path) -> dict[str, float]:
    """Copy the tables by ``pg_dump`` and ``pg_restore``, then by a subscription, and make the view."""
    _tapdb(sides.follower, "init")
    config = parse_config(OBSCORE_CONFIG.read_text(encoding="utf-8"))
    with checked_connection(sides.follower, read_only=True) as connection:
        plan = plan_following(connection, _SCHEMA, config, url=sides.primary)
    tables = [one.name for one in plan.primary.tables]
    other = create_database(sides.follower, "restored", template="template0")
    with psycopg.connect(_dsn(other)) as session:
        session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_SCHEMA)))
    dump = root / "tables.dump"
    begin = time.monotonic()
    named = [word for one in tables for word in ("-t", f"{_SCHEMA}.{one}")]
    # Keys to tables that are not there are of no use to a copy.
    subprocess.run(["pg_dump", "-Fc", "-Z0", *named, "-f", str(dump), _dsn(sides.primary)], check=True)
    subprocess.run(
        ["pg_restore", "-O", "-x", "-d", _dsn(other), str(dump)], check=False, stderr=subprocess.DEVNULL
    )
    restored_s = time.monotonic() - begin
    dump.unlink()
    begin = time.monotonic()
    follow(sides.follower, plan)
    copied_s = time.monotonic() - begin
    say(f"pg_dump and pg_restore {restored_s:.1f} s, subscription {copied_s:.1f} s")
    begin = time.monotonic()
    _tapdb(sides.follower, "add", _SCHEMA, "-c", str(OBSCORE_CONFIG))
    with checked_connection(sides.follower, read_only=True) as connection:
        assert set(tables) == set(copied_tables(connection, _SCHEMA))
    return {
        "init_ratio": copied_s / restored_s,
        "init_s": copied_s,
        "restore_s": restored_s,
        "view_s": time.monotonic() - begin,
    }


def _measure_ingest(sides: _Sides, butler: Butler, rounds: int, chips: int) -> dict[str, float]:
    """Ingest raws with the subscription at work and without, in turn; wait for the rows in the follower."""
    times: dict[bool, list[float]] = {True: [], False: []}
    lags: list[float] = []
    with _watching(sides.follower) as session:
        for number in range(rounds + 1):
            for works in (number % 2 == 0, number % 2 == 1):
                _let_work(sides, works=works)
                if works:
                    _catch_up(sides)
                day = _DAY_OBS + int(works)
                begin = time.monotonic()
                _ingest(butler, day, number, chips)
                times[works].append(time.monotonic() - begin)
            if number == 0:
                # Butler's caches are filled by now.
                for one in times.values():
                    one.clear()
        # A worker that has just begun has planned nothing yet: the lag is that of one that runs on.
        _let_work(sides, works=True)
        _catch_up(sides)
        for number in range(rounds + 1):
            refs = _ingest(butler, _DAY_OBS + 3, number, chips)
            committed = time.monotonic()
            _wait_for_rows(session, refs)
            lags += [time.monotonic() - committed] if number else []
    with_s, without_s = median(times[True]), median(times[False])
    return {
        "lag_s": median(lags),
        "lag_99_s": quantiles(lags, n=100, method="inclusive")[-1] if len(lags) > 1 else lags[0],
        "primary_ingest_ratio": with_s / without_s,
        "ingest_ms": 1000 * without_s,
        "ingest_rows_s": chips / without_s,
    }


def _measure_backlog(sides: _Sides, butler: Butler, exposures: int, chips: int) -> dict[str, float]:
    """Let the follower fall behind by exposures of 189 raws, as Butler ingests them, and apply them."""
    _let_work(sides, works=False)
    begin = time.monotonic()
    for number in range(exposures):
        _ingest(butler, _DAY_OBS + 5, number, chips)
    own = exposures * chips / (time.monotonic() - begin)
    begin = time.monotonic()
    _let_work(sides, works=True)
    _catch_up(sides)
    rows_s = exposures * chips / (time.monotonic() - begin)
    return {"apply_rows_s": rows_s, "apply_ratio": rows_s / own, "apply_slowness": own / rows_s}


def _ingest(butler: Butler, day: int, number: int, chips: int) -> list[UUID]:
    """Put the raws of one exposure in one transaction; return their UUIDs."""
    pointing = make_pointing(day, number + 1, number * 3.3 % 360, -60, 15.0, "r_57", "follow")
    with butler.transaction():
        for element, records in exposure_records([pointing]):
            butler.registry.insertDimensionData(element, *records, skip_existing=True)
        exposure = {"instrument": pointing.instrument, "exposure": pointing.id}
        raws = [exposure | {"detector": one} for one in range(chips)]
        refs = butler.registry.insertDatasets("raw", raws, run=RAW_RUN)
    return [one.id for one in refs]


@contextmanager
def _watching(url: sa.URL) -> Iterator[psycopg.Connection[tuple[int]]]:
    with psycopg.connect(_dsn(url), autocommit=True) as session:
        yield session


def _wait_for_rows(session: psycopg.Connection[tuple[int]], refs: list[UUID]) -> None:
    """Wait until the view has all of the rows; some of them would be half a transaction."""
    begin = time.monotonic()
    while time.monotonic() - begin < _PATIENCE_S:
        query = "SELECT count(*) FROM ivoa.obscore WHERE registry_dataset_id = ANY (%s)"
        row = session.execute(query, [refs]).fetchone()
        assert row is not None
        if row[0] == len(refs):
            return
        assert row[0] == 0, "half a transaction"
    raise TimeoutError


def _let_work(sides: _Sides, *, works: bool) -> None:
    """Let the subscription work, or not; with all that was committed, so that no backlog is measured."""
    with psycopg.connect(_dsn(sides.follower), autocommit=True) as session:
        words = "ENABLE" if works else "DISABLE"
        session.execute(sql.SQL("ALTER SUBSCRIPTION tapdb_main {}").format(sql.SQL(words)))
        wanted = works
        while True:
            found = session.execute(
                "SELECT count(*) FROM pg_stat_subscription WHERE subname = 'tapdb_main' AND pid IS NOT NULL"
            ).fetchone()
            if found is not None and (found[0] > 0) is wanted:
                break
            time.sleep(0.01)


def _catch_up(sides: _Sides) -> None:
    """Wait until the follower has all that is committed at the primary."""
    with psycopg.connect(_dsn(sides.primary), autocommit=True) as session:
        (wanted,) = session.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone() or ("",)
        query = (
            "SELECT count(*) FROM pg_stat_replication "
            "WHERE application_name = 'tapdb_main' AND replay_lsn >= %s::pg_lsn"
        )
        begin = time.monotonic()
        while (session.execute(query, [wanted]).fetchone() or (0,))[0] == 0:
            assert time.monotonic() - begin < _PATIENCE_S
            session.execute("SELECT pg_logical_emit_message(true, 'tapdb', '')")
            time.sleep(0.05)


def _tapdb(url: sa.URL, *words: str) -> None:
    environment = {"TAPDB_URL": url.render_as_string(hide_password=False)}
    result = CliRunner(env=environment).invoke(tapdb, ["follow", *words])
    if result.exit_code:
        raise SystemExit(result.output)


def _dsn(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
