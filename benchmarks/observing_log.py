"""The observing log beside the same join on plain tables, and CAOM2 beside the package's own writing.

Both sides of each are in one server and run in turn. Plain tables are copies of what the views show, with an
index on each key; observations of CAOM2 are ready objects for the package.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import LiteralString

import sqlalchemy as sa
from caom2.obs_reader_writer import ObservationWriter

from benchmarks.obscore.archive import CHIPS, SERVER_SETTINGS, connect, make_grown
from benchmarks.obscore.benchmark import visits_of
from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from prompt_products.caom.caom_files import documents
from prompt_products.caom.caom_objects import ChosenObservations, read_observations
from prompt_products.caom.caom_views import CAOM
from prompt_products.observing_log.log_views import publish_log
from prompt_products.over_obscore import publish
from tapdb.postgres.engine import create_engine
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "main", "measure_observing_log"]

REACHES = (
    Reach("log_ratio", 3, "a night's log joined with ConsDB / the same join on plain tables"),
    Reach("caom_ratio", 2, "planes to CAOM2 XML / the caom2 package's own writing of ready objects"),
)

_NAME, _VIEW = "standards", "ivoa.obscore"
# ConsDB, as sdm_schemas has the keys and some of its columns.
_CONSDB: LiteralString = """
CREATE SCHEMA cdb_lsstcam;
CREATE TABLE cdb_lsstcam.exposure (exposure_id bigint UNIQUE, exposure_name text, day_obs integer,
  seq_num integer, band text, obs_start_mjd float8, airmass float4, dimm_seeing float4,
  PRIMARY KEY (day_obs, seq_num));
INSERT INTO cdb_lsstcam.exposure
SELECT id, obs_id, day_obs, seq_num, NULL, 61000, 1.1, 0.8 FROM (
  SELECT DISTINCT ON (day_obs, seq_num) * FROM butler.exposure WHERE instrument = 'LSSTCam') e;
CREATE TABLE cdb_lsstcam.visit1_quicklook (visit_id bigint, day_obs integer, seq_num integer,
  seeing_zenith_500nm_median float8, PRIMARY KEY (day_obs, seq_num));
INSERT INTO cdb_lsstcam.visit1_quicklook SELECT exposure_id, day_obs, seq_num, 0.7 FROM cdb_lsstcam.exposure;
CREATE TABLE public.plain AS SELECT registry_dataset_id AS dataset_id, obs_publisher_did, instrument_name,
  coalesce(lsst_visit, lsst_exposure) AS visit FROM ivoa.obscore;
CREATE INDEX ON public.plain (visit);
GRANT USAGE ON SCHEMA cdb_lsstcam TO tapdb_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA cdb_lsstcam TO tapdb_owner;
"""
_OURS: LiteralString = """
SELECT dataset_id, obs_publisher_did, seq_num, airmass, seeing FROM ivoa.dataset_log WHERE day_obs = %s
"""
_PLAIN: LiteralString = """
SELECT p.dataset_id, p.obs_publisher_did, e.seq_num, e.airmass::float8, q.seeing_zenith_500nm_median
FROM cdb_lsstcam.exposure e LEFT JOIN cdb_lsstcam.visit1_quicklook q USING (day_obs, seq_num)
JOIN public.plain p ON p.visit = e.exposure_id AND p.instrument_name = 'LSSTCam' WHERE day_obs = %s
"""
_NIGHT: LiteralString = """
SELECT e.day_obs FROM cdb_lsstcam.exposure e JOIN public.plain p ON p.visit = e.exposure_id
GROUP BY 1 ORDER BY count(*) DESC LIMIT 1
"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print and add to ``results/standards.json``; return 1 if something was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks observing_log", description=__doc__)
    parser.add_argument("--rows", default="1M", help="rows of the view that the log joins")
    parser.add_argument("--planes", type=int, default=1890, help="planes that are written as CAOM2")
    parser.add_argument(
        "--repeats", type=int, default=5, help="how often each side is measured; medians count"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIRECTORY")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tapdb-observing-") as folder:
        figures = measure_observing_log(
            Path(folder), visits=visits_of(given.rows), planes=given.planes, repeats=given.repeats
        )
    say(f"written to {add_results(_NAME, figures, given.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def measure_observing_log(root: Path, *, visits: int, planes: int, repeats: int) -> dict[str, float]:
    """Return all figures.

    Parameters
    ----------
    root
        Folder for the files of a repository.
    visits
        Visits of 189 detectors in the view that the log joins.
    planes
        How many planes are written, of whole observations.
    repeats
        How often each side is measured.
    """
    return measure_log(root / "log", visits, repeats) | measure_caom(root / "caom", planes, repeats)


def measure_log(root: Path, visits: int, repeats: int) -> dict[str, float]:
    """Return the figures of the log over a view with so many visits."""
    root.mkdir()
    with EphemeralServer(settings=SERVER_SETTINGS) as server:
        repository = make_grown(server, root, visits)
        with connect(repository.url) as connection:
            connection.execute(_CONSDB)
            connection.execute("ANALYZE")
        engine = create_engine(repository.url)
        with engine.begin() as made:
            publish_log(made, _VIEW)
        engine.dispose()
        return _measure_log(repository.url, repeats)


def measure_caom(root: Path, planes: int, repeats: int) -> dict[str, float]:
    """Return the figures of CAOM2 over a view that has little more than so many planes."""
    root.mkdir()
    with EphemeralServer(settings=SERVER_SETTINGS) as server:
        repository = make_grown(server, root, max(1, planes // CHIPS))
        engine = create_engine(repository.url)
        with engine.begin() as made:
            publish(made, CAOM, _VIEW)
        with engine.connect() as reading:
            figures = _measure_caom(reading, planes, repeats)
        engine.dispose()
    return figures


def _measure_log(url: sa.URL, repeats: int) -> dict[str, float]:
    """Return how long the log of the night with the most datasets takes, on both sides."""
    with connect(url) as connection:
        found = connection.execute(_NIGHT).fetchone()
        assert found is not None
        (night,) = found
        ours = sorted(connection.execute(_OURS, (night,)).fetchall())
        assert ours == sorted(connection.execute(_PLAIN, (night,)).fetchall()), "the sides differ"
        taken = _in_turn(
            lambda: connection.execute(_OURS, (night,)).fetchall(),
            lambda: connection.execute(_PLAIN, (night,)).fetchall(),
            repeats,
        )
        rows = connection.execute("SELECT count(*) FROM public.plain").fetchone()
    assert rows is not None
    say(f"{taken[0] * 1000:8.1f} ms {len(ours)} datasets of a night, plain {taken[1] * 1000:.1f} ms")
    return {
        "log_view_rows": rows[0],
        "log_night_rows": len(ours),
        "log_ms": taken[0] * 1000,
        "log_plain_ms": taken[1] * 1000,
        "log_ratio": taken[0] / taken[1],
    }


def _measure_caom(connection: sa.Connection, planes: int, repeats: int) -> dict[str, float]:
    """Return how long observations with so many planes take from the database to XML, and ready ones."""
    counted = sa.text(
        "SELECT collection, observationid, count(*) FROM caom2.observation JOIN caom2.plane USING (obsid) "
        "WHERE typecode = 'S' GROUP BY 1, 2 ORDER BY 3 DESC, 2"
    )
    names: list[str] = []
    number = 0
    for _, name, count in connection.execute(counted).all():
        if number < planes:
            names.append(name)
            number += count
    chosen = ChosenObservations(observations=tuple(names))
    ready = list(read_observations(connection, chosen))
    writer = ObservationWriter(validate=True)

    def ours() -> None:
        for _ in documents(read_observations(connection, chosen)):
            pass

    def theirs() -> None:
        for one in ready:
            writer.write(one, io.BytesIO())

    taken = _in_turn(ours, theirs, repeats)
    say(f"{taken[0]:8.2f} s  {number} planes to XML, of ready objects {taken[1]:.2f} s")
    return {
        "caom_planes": number,
        "caom_s": taken[0],
        "caom_ready_s": taken[1],
        "caom_ratio": taken[0] / taken[1],
    }


def _in_turn(one: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median times of two functions that are called in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, taken in zip((one, other), times, strict=True):
            started = time.perf_counter()
            function()
            taken.append(time.perf_counter() - started)
    return median(times[0]), median(times[1])
