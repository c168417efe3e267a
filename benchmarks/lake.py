"""``python -m benchmarks lake``: the history of a PPDB in files beside the same in PostgreSQL, in one run.

Natural queries as of a snapshot, answered by both with their records, whose digests are compared; export and
refresh beside COPY of the same rows to a file.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from alembic import command
from psycopg import sql

from benchmarks.obscore.archive import SERVER_SETTINGS, connect, step
from benchmarks.obscore.timing import Stopwatch
from benchmarks.ppdb.stream import FIRST_NIGHT_MJD_TAI, Stream
from benchmarks.results_file import RESULTS, Reach, missed, print_table, say, write_results
from ppdb_replay.lake.answering import LakeReplayer
from ppdb_replay.lake.export import export_lake
from ppdb_replay.lake.opening import open_lake
from ppdb_replay.lake.refresh import refresh_lake
from ppdb_replay.replaying.replayer import Replayer
from ppdb_replay.tables import read_schema, with_system_columns
from ppdb_replay.versions.install import create_tables, install
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import checked_connection, create_database, create_engine
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "main", "run"]

REACHES = (
    # Speedups of 5, 3.5 and 4: `..._speedup` beside them.
    Reach("scan_band_ratio", 1 / 5, "count and average by band over all sources: lake / PostgreSQL"),
    Reach("scan_filter_ratio", 1 / 3.5, "sources that fulfil a condition, counted"),
    Reach("scan_object_ratio", 1 / 4, "aggregate over all objects"),
    Reach("cone_ratio", 1.5, "cone of 0.5 deg"),
    Reach("lightcurve_ratio", 8, "light curves of 100 objects"),
    Reach("cone_growth", 3, "the cone in the lake / the same with a twentieth of the rows"),
    # 0.15 of the rows per second.
    Reach("export_time_ratio", 1 / 0.15, "export / binary COPY of the same rows to a file, time"),
    Reach("digests_different", 0, "results that differ between lake and PostgreSQL"),
)

_SEED = 20_261_201
_PART = 0.6
_SMALLER = 20
_NIGHT_SOURCES = 10_000
_NIGHT_OBJECTS = 4_000
_FILLED = 35
_CONE = (
    "SELECT diaObjectId, ra, dec, nDiaSources FROM DiaObject WHERE validityEndMjdTai IS NULL "
    "AND CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius})) = 1"
)
_LIGHT_CURVES = (
    "SELECT diaSourceId, diaObjectId, midpointMjdTai, psfFlux FROM DiaSource WHERE diaObjectId IN ({ids})"
)
_SCANS = {
    "scan_band": "SELECT band, COUNT(*) AS n, AVG(psfFlux) AS mean FROM DiaSource GROUP BY band",
    "scan_filter": "SELECT COUNT(*) AS n FROM DiaSource WHERE psfFlux > 0.9 AND timeWithdrawnMjdTai IS NULL",
    "scan_object": "SELECT COUNT(*) AS n, MAX(g_psfFluxMean) AS brightest FROM DiaObject "
    "WHERE validityEndMjdTai IS NULL AND nDiaSources > 2",
}


class _Sample(NamedTuple):
    """Values of a question."""

    ra: float
    dec: float
    ids: tuple[int, ...]

    def questions(self) -> dict[str, str]:
        """Return the short questions."""
        ids = ", ".join(map(str, self.ids))
        return {
            "cone": _CONE.format(ra=self.ra, dec=self.dec, radius=0.5),
            "cone_small": _CONE.format(ra=self.ra, dec=self.dec, radius=0.05),
            "lightcurve": _LIGHT_CURVES.format(ids=ids),
        }


def main(arguments: Sequence[str]) -> int:
    """Measure, write the figures, print them beside what is to be reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks lake", description=__doc__)
    parser.add_argument(
        "--objects", type=int, default=800_000, help="objects; each has 5 versions, 25 sources"
    )
    parser.add_argument("--fast", type=int, default=15, help="repetitions of short queries")
    parser.add_argument("--slow", type=int, default=3, help="repetitions of scans")
    parser.add_argument("--nights", type=int, default=5, help="nights that are refreshed")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for lake.json")
    options = parser.parse_args(arguments)
    figures = run(options.objects, fast=options.fast, slow=options.slow, nights=options.nights)
    say(str(write_results("lake", figures, options.output)))
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def run(
    objects: int, *, fast: int, slow: int, nights: int, night_sources: int = _NIGHT_SOURCES, loaded: int = 100
) -> dict[str, float]:
    """Return all figures.

    Parameters
    ----------
    objects
        Objects on the sky; each has 5 versions and 25 sources.
    fast, slow
        Repetitions of short queries, and of scans.
    nights
        Nights that are refreshed one by one.
    night_sources
        Sources of each of them.
    loaded
        Nights before.
    """
    figures: dict[str, float] = {}
    with (
        EphemeralServer(settings=SERVER_SETTINGS) as server,
        tempfile.TemporaryDirectory(prefix="tapdb-lake-") as folder,
    ):
        growth = {}
        for name, number in (("small", max(100, objects // _SMALLER)), ("large", objects)):
            url = create_database(server.url(), name)
            _make(url)
            stream = Stream(number, nights=loaded)
            with step(f"{stream.sources_a_night * stream.nights} sources loaded"), connect(url) as connection:
                _load(connection, stream)
            place = Path(folder) / name
            found = _export(url, place)
            with step("questions asked"):
                watch, different = _ask(url, place, stream, fast, slow)
            growth[name] = watch.median("cone", "lake")
            if name == "small":
                shutil.rmtree(place)
                continue
            figures |= found | watch.figures("lake", "postgresql")
            say(str(figures))
            figures["digests_different"] = float(different)
            figures["sources"] = float(stream.sources_a_night * stream.nights)
            for scan in _SCANS:
                figures[f"{scan}_speedup"] = 1 / figures[f"{scan}_ratio"]
            figures |= _refresh(url, place, stream, nights, night_sources)
        figures["cone_growth"] = growth["large"] / growth["small"]
    return figures


def _make(url: sa.URL) -> None:
    """Make versioned tables, empty."""
    engine = create_engine(url)
    with engine.begin() as connection:
        install_extensions(connection)
        command.upgrade(alembic_config(connection, obscore="off", ppdb="off"), "head")
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
    engine.dispose()


_GENERATED = sql.SQL(
    "SELECT {columns} FROM (SELECT {first_id} + i AS id, {object_id} AS object_id, {night} AS night, "
    "150 + 40 * ({object_id} * 0.6180339887498949 - floor({object_id} * 0.6180339887498949)) AS ra, "
    "degrees(asin(0.5 * ({object_id} * 0.7548776662466927 - floor({object_id} * 0.7548776662466927)))) "
    "AS dec "
    "FROM generate_series(0, {count} - 1) i) made"
)
_KNOWN = {
    "snap_from": "{snapshot}",
    "snap_to": "9223372036854775807",
    "diaObjectId": "object_id",
    "diaSourceId": "id",
    "ra": "ra",
    "dec": "dec",
    "band": "substr('ugrizy', (id % 6)::integer + 1, 1)",
    "visit": "night",
    "detector": "(id % 189)::smallint",
    "midpointMjdTai": "night + random()",
    "validityStartMjdTai": "night",
    "nDiaSources": "5",
}
_EMPTY = ("validityEndMjdTai", "timeWithdrawnMjdTai", "ssObjectId", "parentDiaSourceId")
_BY_TYPE = {
    "double precision": "random()",
    "real": "random()",
    "boolean": "false",
    "bigint": "id",
    "integer": "(random() * 100)::integer",
    "smallint": "(random() * 100)::smallint",
}


def _insert(
    connection: psycopg.Connection[Any], table: str, snapshot: int | None, values: dict[str, sql.Composable]
) -> None:
    """Insert rows of a night with the columns that alerts fill; `None` leaves the snapshot to triggers."""
    columns = connection.execute(
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns "
        "WHERE table_schema = 'ppdb' AND table_name = %s ORDER BY ordinal_position",
        [table],
    ).fetchall()
    chosen: dict[str, sql.Composable] = {}
    for name, kind, may_be_null in columns:
        if name in _EMPTY or (snapshot is None and name.startswith("snap_")):
            continue
        if name in _KNOWN or not may_be_null or len(chosen) < _FILLED:
            text = _KNOWN.get(name, _BY_TYPE.get(kind, "NULL"))
            chosen[name] = sql.SQL(text).format(snapshot=sql.Literal(snapshot))
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) {}").format(
            sql.Identifier("ppdb", table),
            sql.SQL(", ").join(map(sql.Identifier, chosen)),
            _GENERATED.format(columns=sql.SQL(", ").join(chosen.values()), **values),
        )
    )


def _values(stream: Stream, night: int, table: str, count: int, first_id: int) -> dict[str, sql.Composable]:
    """Return what the rows of a night have in common."""
    first = 1 + night * stream.objects_a_night % stream.objects
    each = stream.sources if table == "DiaSource" else 1
    return {
        "first_id": sql.Literal(first_id),
        "object_id": sql.SQL("({} + i / {})").format(sql.Literal(first), sql.Literal(each)),
        "night": sql.Literal(FIRST_NIGHT_MJD_TAI + night),
        "count": sql.Literal(count),
    }


def _load(connection: psycopg.Connection[Any], stream: Stream) -> None:
    """Write all nights as triggers would leave them, which would take hours, and how many rows there are."""
    for table in ("DiaObject", "DiaSource"):
        connection.execute(
            sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier("ppdb", table))
        )
        closed = sql.Identifier("ppdb_history", f"{table}_closed")
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(closed))
    rows = connection.execute("SELECT snapshot_id, t_mjd_tai FROM ppdb_history.clock").fetchall()
    ((base, begun),) = rows
    dice = Random(_SEED)
    for night in range(stream.nights):
        snapshot = base + 1 + night
        with connection.transaction():
            counts = {}
            for table, count in (
                ("DiaObject", stream.objects_a_night),
                ("DiaSource", stream.sources_a_night),
            ):
                ended = _end(connection, stream, night, table, snapshot, dice) if night else 0
                first_id = 1 + night * stream.sources_a_night
                _insert(connection, table, snapshot, _values(stream, night, table, count, first_id))
                counts[table] = (count + ended, ended)
            _note(connection, snapshot, begun + 1e-6 * (night + 1), counts)
    for table in ("DiaObject", "DiaSource"):
        connection.execute(
            sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(sql.Identifier("ppdb", table))
        )
        connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier("ppdb_history", table)))


def _end(
    connection: psycopg.Connection[Any], stream: Stream, night: int, table: str, snapshot: int, dice: Random
) -> int:
    """End versions: of objects that get another one, of sources that are corrected; return how many."""
    if table == "DiaObject":
        first = 1 + night * stream.objects_a_night % stream.objects
        condition = sql.SQL(
            '"diaObjectId" >= {} AND "diaObjectId" < {} AND "validityEndMjdTai" IS NULL'
        ).format(sql.Literal(first), sql.Literal(first + stream.objects_a_night))
        change = sql.SQL('"validityEndMjdTai" = {}').format(sql.Literal(FIRST_NIGHT_MJD_TAI + night))
    else:
        chosen = dice.sample(range(1, 1 + night * stream.sources_a_night), stream.corrections_a_night)
        condition = sql.SQL('"diaSourceId" = ANY ({})').format(sql.Literal(chosen))
        change = sql.SQL('"timeWithdrawnMjdTai" = {}').format(sql.Literal(FIRST_NIGHT_MJD_TAI + night))
    columns = [
        sql.Identifier(name)
        for (name,) in connection.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = 'ppdb' AND table_name = %s AND column_name <> 'snap_to'",
            [table],
        )
    ]
    current, closed = sql.Identifier("ppdb", table), sql.Identifier("ppdb_history", f"{table}_closed")
    listed = sql.SQL(", ").join(columns)
    connection.execute(
        sql.SQL("INSERT INTO {} ({}, snap_to) SELECT {}, {} FROM {} WHERE {}").format(
            closed, listed, listed, sql.Literal(snapshot), current, condition
        )
    )
    update = sql.SQL("UPDATE {} SET snap_from = {}, {} WHERE {}")
    return connection.execute(update.format(current, sql.Literal(snapshot), change, condition)).rowcount


def _note(
    connection: psycopg.Connection[Any], snapshot: int, t_mjd_tai: float, counts: dict[str, tuple[int, int]]
) -> None:
    """Note a snapshot, with digests that stand for none of its rows."""
    connection.execute(
        "INSERT INTO ppdb_history.snapshot (snapshot_id, t_mjd_tai, parent_digest) "
        "VALUES (%s, %s, ppdb_history.snapshot_digest(%s))",
        [snapshot, t_mjd_tai, snapshot - 1],
    )
    for table, (begun, ended) in counts.items():
        connection.execute(
            "INSERT INTO ppdb_history.snapshot_table (snapshot_id, table_name, begun, begun_digest, ended, "
            "ended_digest) VALUES (%s, %s, %s, 0::bit(256), %s, 0::bit(256))",
            [snapshot, table, begun, ended],
        )
    connection.execute(
        "UPDATE ppdb_history.clock SET snapshot_id = %s, t_mjd_tai = %s", [snapshot, t_mjd_tai]
    )


def _export(url: sa.URL, place: Path) -> dict[str, float]:
    """Export a lake, beside COPY of the same rows."""
    with connect(url) as connection, step("rows copied to a file"):
        started = time.perf_counter()
        for table in ("DiaObject", "DiaSource"):
            _copy(connection, table, "TRUE", place)
        copied = time.perf_counter() - started
        ((rows,),) = connection.execute(
            'SELECT (SELECT count(*) FROM ppdb_history."DiaSource") + '
            '(SELECT count(*) FROM ppdb_history."DiaObject")'
        ).fetchall()
    with checked_connection(url) as session, step("history exported"):
        started = time.perf_counter()
        export_lake(session, place)
        exported = time.perf_counter() - started
    size = sum(one.stat().st_size for one in place.rglob("*") if one.is_file())
    return {
        "export_s": exported,
        "export_rows": float(rows),
        "export_rows_per_s": rows / exported,
        "export_ratio": copied / exported,
        "export_time_ratio": exported / copied,
        "lake_mb": size / 1e6,
    }


def _copy(connection: psycopg.Connection[Any], table: str, condition: str, place: Path) -> None:
    statement = sql.SQL("COPY (SELECT * FROM {} WHERE {}) TO STDOUT (FORMAT binary)").format(
        sql.Identifier("ppdb_history", table), sql.SQL(condition)
    )
    file = place.with_suffix(".copy")
    with file.open("wb") as stream, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            stream.write(block)
    file.unlink()


def _ask(url: sa.URL, place: Path, stream: Stream, fast: int, slow: int) -> tuple[Stopwatch, int]:
    """Ask both sides in turn; return the times, and how many results differ."""
    watch = Stopwatch()
    dice = Random(_SEED)
    samples = [
        _Sample(
            dice.uniform(152, 188),
            dice.uniform(2, 28),
            tuple(sorted(dice.sample(range(1, stream.objects + 1), min(100, stream.objects)))),
        )
        for _ in range(fast)
    ]
    asked = [(name, text) for sample in samples for name, text in sample.questions().items()]
    asked += [(name, text) for name, text in _SCANS.items() for _ in range(slow)]
    different = 0
    with open_lake(place) as lake, connect(url) as connection:
        snapshot = lake.snapshot(round(lake.newest_snapshot * _PART))
        assert snapshot is not None
        sides: dict[str, Replayer | LakeReplayer] = {
            "postgresql": Replayer(connection),
            "lake": LakeReplayer(lake),
        }
        # Once without a clock: catalogs are read, files are opened.
        for side in sides.values():
            side.at(asked[0][1], snapshot.snapshot)
        for name, text in asked:
            digests = set()
            for name_of_side in dice.sample(sorted(sides), 2):
                started = time.perf_counter()
                result = sides[name_of_side].at(text, snapshot.snapshot)
                watch.add(name, name_of_side, started)
                digests.add(result.digest)
            different += len(digests) > 1
    return watch, different


def _refresh(url: sa.URL, place: Path, stream: Stream, nights: int, night_sources: int) -> dict[str, float]:
    """Write nights as an alert pipeline does; refresh the lake after each, beside COPY of the same rows."""
    watch = Stopwatch()
    objects = max(1, night_sources * _NIGHT_OBJECTS // _NIGHT_SOURCES)
    with connect(url) as connection:
        for number in range(nights):
            night = stream.nights + number
            with connection.transaction():
                first_id = 10**12 + number * night_sources
                _insert(
                    connection,
                    "DiaSource",
                    None,
                    _values(stream, night, "DiaSource", night_sources, first_id),
                )
                connection.execute(
                    'UPDATE ppdb."DiaObject" SET "nDiaSources" = "nDiaSources" + 1 '
                    'WHERE "validityEndMjdTai" IS NULL AND "diaObjectId" > %s AND "diaObjectId" <= %s',
                    [number * objects, (number + 1) * objects],
                )
            connection.execute("SELECT ppdb_history.seal()")
            started = time.perf_counter()
            with checked_connection(url) as session:
                refresh_lake(session, place)
            watch.add("refresh", "lake", started)
            started = time.perf_counter()
            for table in ("DiaObject", "DiaSource"):
                newest = "snap_from = (SELECT snapshot_id FROM ppdb_history.clock)"
                _copy(connection, table, newest, place)
            watch.add("refresh", "copy", started)
    lake, copy = watch.median("refresh", "lake"), watch.median("refresh", "copy")
    return {"refresh_s": lake / 1000, "refresh_copy_s": copy / 1000, "refresh_ratio": lake / copy}
