"""DaCHS beside ``tapdb serve``, over the same relations of one PostgreSQL database.

DaCHS is Debian's python3-gavo, run in a tree of debootstrap with the machine's network. Both describe the
same view of a Butler registry and the same table of targets: its resource descriptors are written from our
TAP_SCHEMA. First both answer the same questions, then they take turns in being measured.
"""

from __future__ import annotations

import argparse
import http.client
import math
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, groupby, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import numpy as np
import psycopg
import pyvo
import sqlalchemy as sa

from benchmarks.obscore.archive import SERVER_SETTINGS, connect, make_grown, step
from benchmarks.obscore.benchmark import visits_of
from benchmarks.results_file import RESULTS, add_results, say
from benchmarks.services.formats import COLUMNS
from benchmarks.services.over_http import SERVE, await_answer, publish_table, run_server, seconds_of
from tapdb.server.ephemeral import EphemeralServer
from tools.test_servers import System

CACHE = Path("/var/cache/tapdb/dachs")
"""Where the tree with DaCHS stays, so that the next run need not make it; it may be removed."""

_RELEASE = 12
_INSTALL = """
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -y --no-install-recommends install python3-gavo python3-setuptools
useradd --system --user-group gavo
"""
# DaCHS and apt-get say much, which matters if they fail.
_QUIET = "{{ {}\n}} > /var/log/dachs.log 2>&1 || {{ cat /var/log/dachs.log >&2; exit 1; }}"
_CONFIGURATION = """
[web]
bindAddress: 127.0.0.1
serverPort: {port}
serverURL: http://127.0.0.1:{port}
"""
_BINARY2 = "application/x-votable+xml;serialization=BINARY2"

# Types of PostgreSQL as DaCHS calls them. A UUID is text to its clients, as it is to ours.
_NAMED_ALIKE = ("boolean", "integer", "bigint", "double precision", "text", "spoint", "spoly")
_TYPES = {"uuid": "text"} | {name: name for name in _NAMED_ALIKE}
_PUBLISHED = """
SELECT t.table_name, a.attname, format_type(a.atttypid, a.atttypmod), c.unit, c.ucd, c.utype, c.description
FROM tap_schema.tables t
JOIN pg_attribute a ON a.attrelid = to_regclass(lower(t.table_name)) AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN tap_schema.columns c ON c.table_name = t.table_name AND c.column_name = a.attname
WHERE t.schema_name IN ('ivoa', 'bench') AND (c.column_name IS NOT NULL OR a.attname LIKE 'pgs\\_%')
ORDER BY t.table_name, c.column_index, a.attnum
"""

# Where images are, a little beside their centres.
_TARGETS = """
CREATE SCHEMA bench;
CREATE TABLE bench.target AS
SELECT row_number() OVER (ORDER BY s_ra, s_dec)::integer AS id, s_ra + 0.01 AS ra, s_dec - 0.01 AS dec,
       CASE WHEN round(s_ra * 100)::bigint % 5 > 0 THEN 'field ' || round(s_dec) END AS field
FROM (SELECT DISTINCT ON (lsst_visit) s_ra, s_dec FROM ivoa.obscore
      WHERE s_ra IS NOT NULL AND calib_level = 2 AND abs(s_dec) < 80
      ORDER BY lsst_visit, lsst_detector) images
LIMIT 400;
ALTER TABLE bench.target ADD PRIMARY KEY (id);
CREATE INDEX ON bench.target USING gist (spoint(radians(ra), radians(dec)));
ANALYZE bench.target;
GRANT USAGE ON SCHEMA bench TO tapdb_reader;
GRANT SELECT ON bench.target TO tapdb_reader
"""
_TARGET_COLUMNS = (
    {"name": "id", "datatype": "int"},
    {"name": "ra", "datatype": "double", "fits:tunit": "deg", "ivoa:ucd": "pos.eq.ra;meta.main"},
    {"name": "dec", "datatype": "double", "fits:tunit": "deg", "ivoa:ucd": "pos.eq.dec;meta.main"},
    {"name": "field", "datatype": "string", "length": 64},
)

_RESOURCE = {"title": "tapdb", "description": "Relations of tapdb.", "creationDate": "2026-01-01T00:00:00Z"}

_CLIENTS = 16
# How often all rows are requested in a round.
_STREAMS = 3
_SAME_DIGITS = 1e-12
_CONE = (
    "SELECT obs_id, obs_publisher_did, lsst_dataset_type, s_ra, s_dec, t_min, em_min, em_max "
    "FROM ivoa.ObsCore WHERE INTERSECTS({{region}}, CIRCLE({ra}, {dec}, 0.05)) = 1"
)
_STREAM = " ".join(
    ("SELECT", ", ".join(name for name, _, _ in COLUMNS), "FROM ivoa.ObsCore WHERE t_min <= {last}")
)

_SAMPLE = """
SELECT t.ra, t.dec, left(o.obs_id, 13), o.obs_publisher_did, o.t_min, o.lsst_visit
FROM bench.target t, ivoa.obscore o
WHERE t.id = 1 AND o.pgs_region ~ spoint(radians(t.ra), radians(t.dec)) AND o.calib_level = 2
ORDER BY o.t_min, o.obs_publisher_did LIMIT 1
"""
_CONES = "SELECT ra, dec FROM bench.target ORDER BY id"
_LAST = """
SELECT t_min, (SELECT count(*) FROM ivoa.obscore early WHERE early.t_min <= last.t_min)
FROM (SELECT t_min FROM ivoa.obscore WHERE t_min IS NOT NULL ORDER BY t_min OFFSET %s - 1 LIMIT 1) last
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that both publish.

    Attributes
    ----------
    table
        Table with its schema.
    name, type
        Name and type in PostgreSQL.
    unit, ucd, utype, description
        What TAP_SCHEMA says of it.
    """

    table: str
    name: str
    type: str
    unit: str | None
    ucd: str | None
    utype: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """A query that both answer.

    Attributes
    ----------
    name
        What it asks.
    adql
        The query; ``{region}`` is the name that each gives to the column of regions.
    ordered
        Whether it says in which order rows come.
    reason
        Why the answers differ; empty if they must not.
    """

    name: str
    adql: str
    ordered: bool = False
    reason: str = ""


QUESTIONS = (
    Question("regions that a cone meets", _CONE),
    Question(
        "regions that hold a point",
        "SELECT obs_id, t_min FROM ivoa.ObsCore WHERE CONTAINS(POINT({ra}, {dec}), {{region}}) = 1",
    ),
    Question(
        "centres within a cone",
        "SELECT obs_id, s_ra, s_dec FROM ivoa.ObsCore "
        "WHERE 1 = CONTAINS(POINT('ICRS', s_ra, s_dec), CIRCLE('ICRS', {ra}, {dec}, 0.5))",
    ),
    Question(
        "regions within a polygon",
        "SELECT obs_id, s_region FROM ivoa.ObsCore WHERE CONTAINS({{region}}, "
        "POLYGON({ra} - 1, {dec} - 1, {ra} + 1, {dec} - 1, {ra} + 1, {dec} + 1, {ra} - 1, {dec} + 1)) = 1",
    ),
    Question(
        "regions that a box meets",
        "SELECT obs_id FROM ivoa.ObsCore WHERE INTERSECTS({{region}}, BOX(10, 3, 30, 20)) = 1",
        reason="DaCHS draws its sides through corners in longitude and latitude, ADQL through a cross",
    ),
    Question(
        "distances",
        "SELECT obs_id, DISTANCE(POINT(s_ra, s_dec), POINT({ra}, {dec})) AS d FROM ivoa.ObsCore "
        "WHERE DISTANCE(POINT(s_ra, s_dec), POINT({ra}, {dec})) < 0.4",
    ),
    Question("an identifier", "SELECT {columns} FROM ivoa.ObsCore WHERE obs_publisher_did = '{did}'"),
    Question(
        "conditions",
        "SELECT obs_id, calib_level, lsst_band FROM ivoa.ObsCore WHERE dataproduct_type = 'image' "
        "AND calib_level IN (1, 3) AND (lsst_band = 'r' OR lsst_band IS NULL) AND s_dec BETWEEN -30 AND 0",
    ),
    Question(
        "patterns and NULL",
        "SELECT obs_id, target_name, lsst_tract FROM ivoa.ObsCore "
        "WHERE obs_id LIKE '{night}%' AND target_name IS NOT NULL AND NOT calib_level > 2",
    ),
    Question(
        "order",
        "SELECT TOP 500 obs_id, obs_publisher_did, t_min FROM ivoa.ObsCore "
        "WHERE t_min >= {t_min} ORDER BY t_min DESC, obs_publisher_did",
        ordered=True,
    ),
    Question(
        "order with NULL",
        "SELECT TOP 300 lsst_tract AS t, obs_publisher_did AS i FROM ivoa.ObsCore ORDER BY lsst_tract, i",
        ordered=True,
    ),
    Question(
        "page",
        "SELECT obs_publisher_did FROM ivoa.ObsCore WHERE t_min >= {t_min} "
        "ORDER BY t_min, obs_publisher_did OFFSET 20",
        ordered=True,
    ),
    Question("count", "SELECT COUNT(*) AS n, COUNT(t_min) AS timed FROM ivoa.ObsCore"),
    Question("distinct", "SELECT DISTINCT instrument_name, lsst_band FROM ivoa.ObsCore"),
    Question(
        "groups",
        "SELECT lsst_band, COUNT(*) AS n, MIN(t_min) AS a, MAX(t_max) AS b, AVG(s_ra) AS c, "
        "SUM(t_exptime) AS d, AVG(calib_level) AS e FROM ivoa.ObsCore "
        "GROUP BY lsst_band HAVING COUNT(*) > 10",
    ),
    Question(
        "functions",
        "SELECT obs_id, ROUND(s_ra, 2) AS a, FLOOR(s_dec) AS b, MOD(lsst_detector, 7) AS c, "
        "SQRT(ABS(s_dec)) AS d, UPPER(lsst_band) AS e, obs_collection || '/' || obs_id AS f, "
        "POWER(2, calib_level) AS g FROM ivoa.ObsCore WHERE lsst_visit = {visit}",
    ),
    Question(
        "arithmetic",
        "SELECT obs_id, lsst_detector / 4 AS a, lsst_detector / 4.0 AS b, -lsst_detector * 2 + 1 AS c, "
        "(t_max - t_min) * 86400 AS d FROM ivoa.ObsCore WHERE lsst_visit = {visit}",
    ),
    Question(
        "join by position",
        "SELECT t.id, o.obs_publisher_did FROM bench.target AS t "
        "JOIN ivoa.ObsCore AS o ON CONTAINS(POINT(t.ra, t.dec), o.{{region}}) = 1 WHERE t.id <= 20",
    ),
    Question(
        "targets in a cone around each other",
        "SELECT a.id AS a, b.id AS b FROM bench.target AS a JOIN bench.target AS b "
        "ON CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 2)) = 1 WHERE a.id < b.id",
    ),
    Question(
        "join of observations",
        "SELECT r.obs_publisher_did AS raw, v.obs_publisher_did AS image FROM ivoa.ObsCore AS r "
        "JOIN ivoa.ObsCore AS v ON r.lsst_exposure = v.lsst_visit AND r.lsst_detector = v.lsst_detector "
        "WHERE r.calib_level = 1 AND v.calib_level = 2 AND v.lsst_detector = 5",
    ),
    Question(
        "outer join",
        "SELECT t.id, t.field, o.obs_id FROM bench.target AS t LEFT OUTER JOIN ivoa.ObsCore AS o "
        "ON o.lsst_detector = t.id AND o.lsst_visit = {visit} WHERE t.id <= 250",
    ),
    Question(
        "outer join without OUTER",
        "SELECT a.id, b.field FROM bench.target AS a LEFT JOIN bench.target AS b ON a.id = b.id + 7",
        reason="DaCHS wants OUTER, which ADQL does not",
    ),
    Question(
        "inequality as <>",
        "SELECT id, 'it''s' AS quoted FROM bench.target WHERE id <> 5 AND field != 'it''s'",
        reason="DaCHS knows != alone, ADQL both",
    ),
    Question(
        "subqueries",
        "SELECT id, ra FROM bench.target WHERE id IN (SELECT lsst_detector FROM ivoa.ObsCore "
        "WHERE lsst_visit = {visit}) AND EXISTS (SELECT 1 FROM ivoa.ObsCore WHERE calib_level = 1)",
    ),
    Question(
        "union",
        "SELECT id, ra FROM bench.target WHERE id < 10 UNION SELECT id, ra FROM bench.target WHERE id < 12",
    ),
    Question(
        "common table expression",
        "WITH images AS (SELECT lsst_visit, COUNT(*) AS n FROM ivoa.ObsCore GROUP BY lsst_visit) "
        "SELECT lsst_visit, n FROM images WHERE n > 100",
    ),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answers: rows, or why there are none."""

    names: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """A service, and how it calls the column of regions."""

    name: str
    port: int
    region: str

    def target(self, adql: str) -> str:
        """Return what is requested of it for a query."""
        query = adql.format(region=self.region)
        parameters = {"LANG": "ADQL", "RESPONSEFORMAT": _BINARY2, "MAXREC": "1000000", "QUERY": query}
        return "/tap/sync?" + urlencode(parameters)

    def ask(self, adql: str) -> Reply:
        """Return what it answers, as pyvo reads it."""
        service = pyvo.dal.TAPService(f"http://127.0.0.1:{self.port}/tap")
        try:
            found = service.search(adql.format(region=self.region), maxrec=1_000_000)
        except pyvo.dal.DALQueryError as error:
            return Reply(error=str(error))
        table = found.to_table()
        columns = [[_plain_value(value) for value in table[name].tolist()] for name in table.colnames]
        return Reply(tuple(table.colnames), tuple(zip(*columns, strict=True)))


def measure(server: EphemeralServer, system: System, folder: Path, options: argparse.Namespace) -> int:
    """Compare and measure both over a new database; return 1 if answers differ without a reason."""
    url = _make_database(server, folder, options.rows)
    served = run_server(url, *SERVE, "--port", TAPDB_JOBS="none")
    with _dachs(url, system) as dachs, served as (_, port):
        ours, other = Side("tapdb", port, "s_region"), Side("DaCHS", dachs, "pgs_region")
        questions, cones, count = _draw(url, options.stream)
        differing = unexplained((one, ours.ask(one.adql), other.ask(one.adql)) for one in questions)
        figures = _speeds((ours, other), cones, questions[-1].adql, count, options)
    figures["vs_dachs_differences"] = len(differing)
    say(f"written to {add_results('services', figures, options.output)}")
    for key, value in sorted(figures.items()):
        print(f"{key:28} {value:>10.4g}")
    return int(bool(differing))


def _make_database(server: EphemeralServer, folder: Path, rows: str) -> sa.URL:
    """Return a grown registry with its view, and targets, all of it in TAP_SCHEMA."""
    url = make_grown(server, folder, visits_of(rows)).url
    with connect(url) as connection:
        connection.execute(_TARGETS)
    publish_table(url, folder / "bench.yaml", "target", _TARGET_COLUMNS)
    return url


def dachs_system(cache: Path) -> System:
    """Return a system with DaCHS; it is made where the folder lacks it."""
    system = System(_RELEASE, cache)
    if not system.root.exists():
        made = System(_RELEASE, cache / "being-made")
        shutil.rmtree(made.root, ignore_errors=True)
        made.root.mkdir(parents=True)
        with step("a system with DaCHS"):
            made.bootstrap(("ca-certificates",))
            made.run(_QUIET.format(_INSTALL))
        made.root.rename(system.root)
    return system


@contextmanager
def _dachs(url: sa.URL, system: System) -> Iterator[int]:
    """Let DaCHS serve what TAP_SCHEMA of a database describes, and give its port.

    Both want a schema called ``tap_schema``: DaCHS gets one until it is set up. Later it needs one table of
    it alone, for its jobs, which it finds in ours.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (system.root / "etc" / "gavo.rc").write_text(_CONFIGURATION.format(port=port))
    files = system.root / "var" / "gavo"
    shutil.rmtree(files, ignore_errors=True)
    with connect(url) as connection:
        descriptors = resource_descriptors(published_columns(connection))
        connection.execute("ALTER SCHEMA tap_schema RENAME TO tap_schema_of_tapdb")
        dsn = f"host={url.host} port={url.port} user={url.username} dbname={url.database}"
        passwords = system.root / "root" / ".pgpass"
        passwords.touch(0o600)
        passwords.write_text(f"*:*:*:{url.username}:{url.password}\n")
        system.run(_QUIET.format(f"dachs init -d {shlex.quote(dsn)}"))
        connection.execute("GRANT tapdb_reader TO gavo, gavoadmin, untrusted")
        for schema, text in descriptors.items():
            place = files / "inputs" / schema / "q.rd"
            place.parent.mkdir()
            place.write_text(text, encoding="utf-8")
            system.run(_QUIET.format(f"dachs imp -m {schema}/q"))
        connection.execute("ALTER TABLE tap_schema.tapjobs SET SCHEMA tap_schema_of_tapdb")
        connection.execute("ALTER SCHEMA tap_schema RENAME TO tap_schema_of_dachs")
        connection.execute("ALTER SCHEMA tap_schema_of_tapdb RENAME TO tap_schema")
    # DaCHS changes its user, by which a process forgets that it is to end with another: its shell does not.
    command = system.command("dachs serve start --foreground; exit $?")
    log = (system.root / "var" / "log" / "dachs.log").open("wb")
    with log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        try:
            await_answer(process, port, "/tap/availability")
            yield port
        finally:
            process.send_signal(signal.SIGKILL)


def _draw(url: sa.URL, rows: int) -> tuple[list[Question], list[str], int]:
    """Return questions about what is in the database, the last for many rows, cones, and how many rows."""
    with connect(url) as connection:
        row = connection.execute(_SAMPLE).fetchone()
        last = connection.execute(_LAST, [rows]).fetchone()
        cones = [_CONE.format(ra=ra, dec=dec) for ra, dec in connection.execute(_CONES)]
        names = [one.name for one in published_columns(connection) if one.table == "ivoa.ObsCore"]
    assert row is not None, "no image holds the first target"
    assert last is not None, f"fewer than {rows} rows have a time"
    sample = dict(zip(("ra", "dec", "night", "did", "t_min", "visit"), row, strict=True))
    sample["columns"] = ", ".join(name for name in names if not name.startswith("pgs_"))
    asked = [replace(one, adql=one.adql.format(**sample)) for one in QUESTIONS]
    return [*asked, Question("many rows", _STREAM.format(last=last[0]))], cones, last[1]


def _speeds(
    sides: Sequence[Side], cones: Sequence[str], many: str, count: int, options: argparse.Namespace
) -> dict[str, float]:
    """Return cone searches and rows per second of each, and their ratios: medians of the rounds."""
    searches: defaultdict[str, list[float]] = defaultdict(list)
    rows: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(options.rounds):
        for side in sides:
            searches[side.name].append(found := _searches_per_second(side, cones, options.seconds))
            with TemporaryFile() as file:
                taken = median(seconds_of(side.port, side.target(many), file) for _ in range(_STREAMS))
            rows[side.name].append(count / taken)
            say(f"round {number + 1}, {side.name}: {found:.1f} cones/s, {count} rows in {taken:.2f} s")
    our_searches, their_searches = map(median, searches.values())
    our_rows, their_rows = map(median, rows.values())
    return {
        "vs_dachs_rps_ratio": our_searches / their_searches,
        "vs_dachs_stream_ratio": our_rows / their_rows,
        "vs_dachs_cones_s": our_searches,
        "vs_dachs_rows_s": our_rows,
        "dachs_cones_s": their_searches,
        "dachs_rows_s": their_rows,
    }


def _searches_per_second(side: Side, cones: Sequence[str], seconds: float) -> float:
    """Return how many cones a second all clients get answered; those that are refused do not count."""
    targets = [side.target(cone) for cone in cones]
    failures: list[bytes] = []
    begin = time.perf_counter()

    def search(client: int) -> int:
        done = 0
        with closing(http.client.HTTPConnection("127.0.0.1", side.port)) as connection:
            for target in islice(cycle(targets), client * len(targets) // _CLIENTS, None):
                if time.perf_counter() > begin + seconds:
                    break
                connection.request("GET", target)
                text = connection.getresponse().read()
                if b'value="OK"' in text:
                    done += 1
                else:
                    failures.append(text)
        return done

    with ThreadPoolExecutor(_CLIENTS) as pool:
        done = sum(pool.map(search, range(_CLIENTS)))
        taken = time.perf_counter() - begin
    if failures:
        say(f"{side.name} refuses {len(failures)} cones, such as: {failures[0][-500:].decode()}")
    return done / taken


def published_columns(connection: psycopg.Connection[Any]) -> list[Column]:
    """Return what TAP_SCHEMA says of the relations that are compared, and their columns for geometry."""
    return [Column(*row) for row in connection.execute(_PUBLISHED)]


def resource_descriptors(columns: Iterable[Column]) -> dict[str, str]:
    """Return what DaCHS reads of each schema, by its name, of columns in order of their tables."""
    found: dict[str, ET.Element] = {}
    for name, members in groupby(columns, key=lambda column: column.table):
        schema, _, table = name.partition(".")
        if schema not in found:
            found[schema] = ET.Element("resource", schema=schema)
            for key, text in _RESOURCE.items():
                ET.SubElement(found[schema], "meta", name=key).text = text
        described = ET.SubElement(found[schema], "table", id=table, onDisk="True", adql="True")
        for column in members:
            given = {
                "name": column.name,
                "type": _TYPES[column.type],
                "unit": column.unit,
                "ucd": column.ucd,
                "utype": column.utype,
                "description": column.description,
            }
            ET.SubElement(described, "column", {key: value for key, value in given.items() if value})
        imported = ET.SubElement(found[schema], "data", id=f"import_{table}")
        ET.SubElement(imported, "make", table=table)
    return {schema: ET.tostring(element, encoding="unicode") for schema, element in found.items()}


def unexplained(asked: Iterable[tuple[Question, Reply, Reply]]) -> list[str]:
    """Say what differs between our answers and the others; return the questions where no reason is known."""
    differing = []
    for question, ours, theirs in asked:
        found = difference(ours, theirs, ordered=question.ordered)
        if not found:
            say(f"{question.name}: the same {len(ours.rows)} rows")
        elif question.reason:
            say(f"{question.name}: {question.reason}: {found}")
        else:
            say(f"{question.name}: NOT EXPECTED: {found}\n  {question.adql}")
            differing.append(question.name)
    return differing


def difference(ours: Reply, theirs: Reply, *, ordered: bool) -> str:
    """Return what differs first between two answers, or that both have no rows; empty if nothing does.

    Names of columns have any case. Numbers may differ in their last digits: DaCHS computes some as text.

    Parameters
    ----------
    ours, theirs
        The answers.
    ordered
        Whether rows are to come in the same order.
    """
    if ours.error or theirs.error:
        said = [
            f"{name}: {reply.error}" for name, reply in (("ours", ours), ("theirs", theirs)) if reply.error
        ]
        return "refused: " + "; ".join(said)
    if [name.lower() for name in ours.names] != [name.lower() for name in theirs.names]:
        return f"columns {', '.join(ours.names)} and {', '.join(theirs.names)}"
    if len(ours.rows) != len(theirs.rows):
        return f"{len(ours.rows)} and {len(theirs.rows)} rows"
    if not ours.rows:
        return "no rows, so that nothing is compared"
    rows, others = (reply.rows if ordered else sorted(reply.rows, key=_order) for reply in (ours, theirs))
    for number, (row, other) in enumerate(zip(rows, others, strict=True), 1):
        for name, value, another in zip(ours.names, row, other, strict=True):
            if not _same(value, another):
                return f"row {number}, {name}: {value!r} and {another!r}"
    return ""


def _order(row: tuple[Any, ...]) -> tuple[str, ...]:
    # Zero may have a sign.
    return tuple(format(value + 0.0, ".9g") if isinstance(value, float) else repr(value) for value in row)


def _same(value: object, other: object) -> bool:
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(_same, value, other))
    if isinstance(value, float | int) and isinstance(other, float | int):
        return math.isclose(value, other, rel_tol=_SAME_DIGITS)
    return value == other


def _plain_value(value: Any) -> Any:
    """Return a value of an astropy table as Python has it; NaN is NULL, as VOTables may write either."""
    if isinstance(value, np.ndarray | list):
        return tuple(value)
    if isinstance(value, bytes):
        return value.decode()
    return None if value is np.ma.masked or (isinstance(value, float) and math.isnan(value)) else value


def main(arguments: Sequence[str]) -> int:
    """Compare, measure and write ``results/services.json``; return 1 if answers differ without a reason."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.services.dachs", description=__doc__)
    options.add_argument("--rows", default="200k", help="rows of ivoa.ObsCore, about")
    options.add_argument("--stream", type=int, default=100_000, help="rows of the large result")
    options.add_argument("--seconds", type=float, default=15, help="of cone searches, each round and side")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--cache", type=Path, default=CACHE, help="folder of the system with DaCHS")
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = options.parse_args(arguments)
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        say("dachs: needs root and the program debootstrap (a Debian package)")
        return 2
    system = dachs_system(chosen.cache)
    with EphemeralServer(settings=SERVER_SETTINGS) as server:
        os.environ |= server.environment()
        return measure(server, system, server.files, chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
