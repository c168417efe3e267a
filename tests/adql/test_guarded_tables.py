"""A table that hides rows is read through its barrier by every query that could fail on one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adql import Metadata, parse, to_postgres
from adql.metadata import metadata_from_rows

_COLUMNS = {
    **dict.fromkeys(("ra", "dec", "width"), "double"),
    **dict.fromkeys(("id", "other"), "long"),
    **dict.fromkeys(("name", "s_region"), "char"),
}


def published() -> Metadata:
    """Return a table that hides rows, and one that does not."""
    names = ("s.hidden", "s.shown")
    rows = [
        {
            "table_name": table,
            "column_name": name,
            "datatype": kind,
            "arraywidth": "*" if kind == "char" else None,
        }
        for table in names
        for name, kind in _COLUMNS.items()
    ]
    found = metadata_from_rows([{"table_name": name} for name in names], rows)
    first, second = found.tables
    return Metadata((replace(first, guarded=("own", "barrier")), second))


SAFE = {
    "all": "SELECT * FROM s.hidden",
    "equal": "SELECT id FROM s.hidden WHERE id = -5 AND name = 'x' OR ra BETWEEN 1 AND 2.5",
    "list": "SELECT id FROM s.hidden WHERE id IN (1, 2) AND name LIKE 'a%' AND width IS NOT NULL",
    "cone": "SELECT id FROM s.hidden WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(10, -20.5, 0.1))",
    "distance": "SELECT id FROM s.hidden WHERE DISTANCE(POINT(ra, dec), POINT(10, 20)) < 0.1",
    "polygon": "SELECT id FROM s.hidden WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(1, 1, 2, 1, 2, -2))",
    "result": "SELECT ra * 1E300 / width AS x, CAST(name AS INTEGER) AS y FROM s.hidden ORDER BY ra / width",
    "count": "SELECT name, COUNT(*) AS n, MAX(ra) AS r FROM s.hidden GROUP BY name",
    "exists": "SELECT id FROM s.shown AS a WHERE EXISTS (SELECT 1 FROM s.hidden AS b WHERE b.id = a.id)",
}
FAILING = {
    "sum": "SELECT id FROM s.hidden WHERE id + 1 > 0",
    "quotient": "SELECT id FROM s.hidden WHERE ra / width > 0",
    "sign": "SELECT id FROM s.hidden WHERE -id > 0",
    "cast": "SELECT id FROM s.hidden WHERE CAST(name AS INTEGER) = 1",
    "function": "SELECT id FROM s.hidden WHERE SQRT(ra) > 1",
    "radius": "SELECT id FROM s.hidden WHERE 1 = CONTAINS(POINT(1, 2), CIRCLE(ra, 0, width))",
    "distance": "SELECT id FROM s.hidden WHERE DISTANCE(POINT(ra, dec), POINT(10, 20)) < width",
    "join": "SELECT a.id FROM s.hidden AS a JOIN s.shown AS b ON a.id = b.id * 2",
    "derived": "SELECT x FROM (SELECT ra / width AS x FROM s.hidden) AS t WHERE x > 0",
    "common": "WITH t AS (SELECT ra / width AS x FROM s.hidden) SELECT x FROM t WHERE x > 0",
    "groups": "SELECT name FROM s.hidden GROUP BY name, ra HAVING ra * 2 > 1",
    "union": "SELECT ra FROM s.shown UNION SELECT ra / width FROM s.hidden",
}


@pytest.mark.parametrize("query", SAFE.values(), ids=SAFE)
def test_a_query_that_cannot_fail_on_a_hidden_row_keeps_its_index(query: str) -> None:
    compiled = to_postgres(parse(query), published())
    assert (compiled.is_guarded, '"s"."hidden"' in compiled.sql, "barrier" in compiled.sql) == (
        True,
        True,
        False,
    )


@pytest.mark.parametrize("query", FAILING.values(), ids=FAILING)
def test_a_query_that_could_fail_on_one_reads_the_barrier(query: str) -> None:
    compiled = to_postgres(parse(query), published())
    assert (compiled.is_guarded, '"s"."hidden"' in compiled.sql, '"own"."barrier"' in compiled.sql) == (
        True,
        False,
        True,
    )
    plain = to_postgres(parse(query.replace("s.hidden", "s.shown")), published())
    assert (plain.is_guarded, "barrier" in plain.sql) == (False, False)
