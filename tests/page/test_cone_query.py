"""A cone that is drawn on the sky becomes a condition of a query: by node, read by the parser of ADQL."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from adql import parse
from adql.printer import to_adql

SCRIPT = Path(__file__).with_name("cone_queries.mjs")
CONE = {"ra_deg": 10.5, "dec_deg": -3.25, "radius_deg": 0.5}
TABLES = [
    {"name": "ivoa.ObsCore", "columns": [["obs_id"], ["s_ra"], ["s_dec"], ["s_region"]]},
    {"name": "ppdb.DiaObject", "columns": [["ra"], ["dec"]]},
    {"name": "tap_schema.tables", "columns": [["table_name"]]},
]
IMAGES = "INTERSECTS(CIRCLE(10.5, -3.25, 0.5), {}s_region) = 1"
OBJECTS = "CONTAINS(POINT({0}ra, {0}dec), CIRCLE(10.5, -3.25, 0.5)) = 1"

# Queries, and what they mean with the cone; none where no table has a place on the sky.
QUERIES = {
    "SELECT * FROM ivoa.ObsCore": "SELECT * FROM ivoa.ObsCore WHERE {images}",
    "SELECT TOP 5 obs_id FROM ivoa.obscore ORDER BY obs_id": (
        "SELECT TOP 5 obs_id FROM ivoa.obscore WHERE {images} ORDER BY obs_id"
    ),
    "SELECT o.ra FROM ppdb.DiaObject AS o WHERE o.ra > 1 OR o.dec < 'WHERE' GROUP BY o.ra": (
        "SELECT o.ra FROM ppdb.DiaObject AS o WHERE {objects} AND (o.ra > 1 OR o.dec < 'WHERE') GROUP BY o.ra"
    ),
    "SELECT ra FROM ppdb.DiaObject d WHERE ra IN (SELECT ra FROM ppdb.DiaObject WHERE ra > 1 OR ra < 0)": (
        "SELECT ra FROM ppdb.DiaObject d WHERE {objects} "
        "AND ra IN (SELECT ra FROM ppdb.DiaObject WHERE ra > 1 OR ra < 0)"
    ),
    "SELECT * FROM ivoa.ObsCore WHERE 1 = INTERSECTS(CIRCLE('ICRS', 1, +2.5e0, 3), s_region)": (
        "SELECT * FROM ivoa.ObsCore WHERE 1 = INTERSECTS(CIRCLE(10.5, -3.25, 0.5), s_region)"
    ),
    "SELECT ra FROM ppdb.DiaObject UNION SELECT dec FROM ppdb.DiaObject": (
        "SELECT * FROM ppdb.DiaObject WHERE {objects}"
    ),
    "SELECT * FROM ivoa.ObsCore;": "SELECT * FROM ivoa.ObsCore WHERE {images}",
    "SELECT ra FROM ppdb.DiaObject WHERE ra > 1 OR ra < 0; -- near zero": (
        "SELECT ra FROM ppdb.DiaObject WHERE {objects} AND (ra > 1 OR ra < 0)"
    ),
    "SELECT ra FROM ppdb.DiaObject WHERE ra > 1 OR ra < 0 -- near zero": (
        "SELECT ra FROM ppdb.DiaObject WHERE {objects} AND (ra > 1 OR ra < 0)"
    ),
    # What only looks like a circle stays.
    "SELECT * FROM ivoa.ObsCore WHERE obs_id = 'CIRCLE(1, 2, 3)' -- no CIRCLE(1, 2, 3)": (
        "SELECT * FROM ivoa.ObsCore WHERE {images} AND obs_id = 'CIRCLE(1, 2, 3)'"
    ),
    "SELECT * FROM ivoa.ObsCore WHERE 1 = INTERSECTS(CIRCLE(POINT('ICRS', 1, 2), 3), s_region)": (
        "SELECT * FROM ivoa.ObsCore WHERE 1 = INTERSECTS(CIRCLE(10.5, -3.25, 0.5), s_region)"
    ),
    'SELECT * FROM ppdb."DiaObject"': 'SELECT * FROM ppdb."DiaObject" WHERE {objects}',
    # A column that two tables have is that of the first one.
    "SELECT * FROM ppdb.DiaObject JOIN ppdb.DiaObject AS p ON p.ra = 1": (
        "SELECT * FROM ppdb.DiaObject JOIN ppdb.DiaObject AS p ON p.ra = 1 WHERE {objects}"
    ),
    "SELECT * FROM ppdb.DiaObject, ivoa.ObsCore WHERE ra = s_ra": (
        "SELECT * FROM ppdb.DiaObject, ivoa.ObsCore WHERE {objects} AND ra = s_ra"
    ),
    "SELECT * FROM tap_schema.tables": None,
    "SELECT * FROM nothing": None,
    "": None,
}


def test_a_cone_is_one_more_condition_or_takes_the_place_of_the_last_one() -> None:
    given = {"queries": list(QUERIES), "cone": CONE, "tables": TABLES}
    run = subprocess.run(
        ["node", SCRIPT], input=json.dumps(given), capture_output=True, check=True, text=True
    )
    for (query, known), found in zip(QUERIES.items(), json.loads(run.stdout), strict=True):
        if known is None:
            assert found is None, query
            continue
        prefix = "o." if " AS o" in query else "d." if "Object d" in query else ""
        if "JOIN" in query or "Object," in query:
            prefix = "ppdb.DiaObject."
        meant = known.format(images=IMAGES.format(prefix), objects=OBJECTS.format(prefix))
        assert to_adql(parse(found)) == to_adql(parse(meant)), query
