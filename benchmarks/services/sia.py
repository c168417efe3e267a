"""A search of SIA beside the same query of TAP, both over HTTP: what parameters in place of ADQL cost.

One process of ``tapdb serve`` answers over a table of ObsCore-like rows with regions. Both take turns, and
the median of the pairs counts.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import psycopg
import sqlalchemy as sa
from alembic import command

from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from benchmarks.services.over_http import SERVE, publish_table, run_server, seconds_of
from tap_query.sia import NEEDED_COLUMNS, sia_query
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_engine
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer

REACHES = (Reach("sia_ratio", 1.3, "a cone of 1,000 rows by SIA / by the same query of TAP, over HTTP"),)

_FOUND = 1000
_NUMBERS = ("em_max", "em_min", "em_res_power", "s_fov", "s_resolution", "t_exptime", "t_max", "t_min")
_TABLE = """
CREATE SCHEMA bench;
CREATE TABLE bench.obscore AS
SELECT CASE WHEN mod(n, 3) = 0 THEN 'raw' ELSE 'image' END AS dataproduct_type, 2 AS calib_level,
  'Bench' AS obs_collection, 'obs ' || n / 189 AS obs_id, md5('dataset ' || n)::uuid AS registry_dataset_id,
  'ivo://org.example/bench?repo=bench&id=' || md5('dataset ' || n)::uuid AS obs_publisher_did,
  'https://example.org/links?ID=' || md5('dataset ' || n) AS access_url, 'application/fits' AS access_format,
  'field ' || mod(n, 100) AS target_name, 'Rubin' AS facility_name, 'LSSTCam' AS instrument_name,
  NULL::text AS pol_states, 0.3::float8 AS s_fov, NULL::float8 AS s_resolution, NULL::float8 AS em_res_power,
  5.5e-7::float8 AS em_min, 6.9e-7::float8 AS em_max, 60000 + n / 1e4::float8 AS t_min,
  60000.01 + n / 1e4::float8 AS t_max, 30::float8 AS t_exptime, NULL::float8 AS t_resolution,
  lon AS s_ra, lat AS s_dec, 'POLYGON ICRS ' || lon || ' ' || lat AS s_region,
  ('{(' || radians(lon) || ',' || radians(lat) || '),(' || radians(lon + 0.2) || ',' || radians(lat)
    || '),(' || radians(lon + 0.2) || ',' || radians(lat + 0.2) || ')}')::spoly AS pgs_region
FROM generate_series(0, %s::int - 1) AS n,
  LATERAL (
    SELECT mod(n * 137.508, 360)::float8 AS lon, degrees(asin(1.8 * (n + 0.5) / %s::int - 0.9)) AS lat
  ) AS place;
CREATE INDEX ON bench.obscore USING gist (pgs_region);
CREATE INDEX ON bench.obscore (registry_dataset_id);
ANALYZE bench.obscore;
GRANT USAGE ON SCHEMA bench TO tapdb_reader;
GRANT SELECT ON bench.obscore TO tapdb_reader;
"""
_MORE = ("access_url", "obs_id", "registry_dataset_id", "s_dec", "s_ra")


def measure_sia(url: sa.URL, folder: Path, rows: int, rounds: int) -> dict[str, float]:
    """Return the figures.

    Parameters
    ----------
    url
        A database that is migrated.
    folder
        Folder for files.
    rows
        Rows of the table.
    rounds
        How many pairs are sent.
    """
    with psycopg.connect(
        url.set(drivername="postgresql").render_as_string(hide_password=False)
    ) as connection:
        psycopg.ClientCursor(connection).execute(_TABLE, (rows, rows))
        radius = _radius_of(connection)
    names = sorted({*NEEDED_COLUMNS, *_MORE})
    publish_table(url, folder / "bench.yaml", "obscore", [_described(name) for name in names])
    limits = {"TAPDB_JOBS": "none", "TAPDB_SIA_TABLE": "bench.obscore"}
    position = f"CIRCLE 120.0 10.0 {radius!r}"
    with run_server(url, *SERVE, "--port", **limits) as (_, port):
        search = "/sia/query?" + urlencode({"POS": position, "MAXREC": _FOUND})
        # What is published without a description is in the answer too: the region itself.
        text = sia_query({"POS": [position]}, "bench.obscore", [*names, "pgs_region"])
        query = "/tap/sync?" + urlencode({"LANG": "ADQL", "QUERY": text, "MAXREC": _FOUND})
        pairs = [_pair(port, search, query, number) for number in range(rounds + rounds // 4)]
    counted = pairs[rounds // 4 :]
    return {
        "sia_rows": rows,
        "sia_ms": 1000 * median(one for one, _ in counted),
        "sia_tap_ms": 1000 * median(other for _, other in counted),
        "sia_ratio": median(one / other for one, other in counted),
    }


def _pair(port: int, search: str, query: str, number: int) -> tuple[float, float]:
    """Return the seconds of both; each comes first every other time."""
    if number % 2:
        other = seconds_of(port, query)
        return seconds_of(port, search), other
    return seconds_of(port, search), seconds_of(port, query)


def _radius_of(connection: psycopg.Connection[tuple[object, ...]]) -> float:
    """Return the radius of a circle that meets as many regions as are wanted, and few more."""
    low, high = 0.0, 90.0
    count = (
        "SELECT count(*) FROM bench.obscore "
        "WHERE pgs_region && scircle(spoint(radians(120), radians(10)), radians(%s))"
    )
    while high - low > 1e-3:
        middle = (low + high) / 2
        (found,) = connection.execute(count, (middle,)).fetchone() or (0,)
        low, high = (low, middle) if int(str(found)) >= _FOUND else (middle, high)
    return high


def _described(name: str) -> dict[str, object]:
    if name in _NUMBERS or name in {"s_ra", "s_dec"}:
        return {"name": name, "datatype": "double"}
    if name == "calib_level":
        return {"name": name, "datatype": "int"}
    if name == "s_region":
        return {"name": name, "datatype": "string", "length": 512, "votable:xtype": "adql:REGION"}
    return {"name": name, "datatype": "string", "length": 256}


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/links.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks sia", description=__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = options.parse_args(arguments)
    with EphemeralServer() as server, TemporaryDirectory() as folder:
        os.environ |= server.environment()
        url = server.url("postgres")
        engine = create_engine(url)
        with engine.begin() as connection:
            install_extensions(connection)
            command.upgrade(alembic_config(connection, obscore="off", ppdb="off"), "head")
        engine.dispose()
        figures = measure_sia(url, Path(folder), chosen.rows, chosen.rounds)
    say(f"written to {add_results('links', figures, chosen.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0
