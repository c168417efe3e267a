"""Output columns know the published column that they hold: named cases, and what PostgreSQL itself says."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adql import metadata_from_rows, parse, to_postgres
from adql.names import column_id
from tests.adql.published_tables import METADATA, create_published_tables

Connection = psycopg.Connection[Any]
Source = tuple[str | None, str | None]

OBJECT = "cat.Object"
NUMBERS = ("objectId", "coord_ra", "coord_dec", "psfFlux", "flux_count")
OTHERS = ("sourceId", "ra", "dec")
RA = (OBJECT, "coord_ra")
NONE = (None, None)


def sources(text: str) -> list[Source]:
    return [(column.table, column.column) for column in to_postgres(parse(text), METADATA).columns]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT coord_ra FROM cat.Object", [RA]),
        ("SELECT o.COORD_RA AS x FROM cat.object AS o", [RA]),
        ('SELECT "size" FROM cat.Object', [(OBJECT, '"size"')]),
        ("SELECT x, y FROM (SELECT coord_ra AS x, coord_ra + 0 AS y FROM cat.Object) AS q", [RA, NONE]),
        ("SELECT * FROM (SELECT x AS z FROM (SELECT coord_ra AS x FROM cat.Object) AS a) AS b", [RA]),
        ("WITH w AS (SELECT coord_ra AS x FROM cat.Object) SELECT v.x, v.x AS x2 FROM w AS v", [RA, RA]),
        ("SELECT DISTINCT coord_ra FROM cat.Object", [RA]),
        ("SELECT band, COUNT(*) FROM cat.Object GROUP BY band", [(OBJECT, "band"), NONE]),
        (
            "SELECT MAX(coord_ra), -coord_ra, COALESCE(coord_ra, 0) FROM cat.Object GROUP BY coord_ra",
            [NONE] * 3,
        ),
        ("SELECT 1, NULL FROM cat.Object", [NONE] * 2),
        ("SELECT coord_ra FROM cat.Object UNION SELECT coord_ra FROM cat.Object AS o", [RA]),
        ("SELECT coord_ra FROM cat.Object UNION ALL SELECT coord_dec FROM cat.Object", [NONE]),
        ("SELECT coord_ra FROM cat.Object UNION ALL SELECT ra FROM cat.Source", [NONE]),
        ("SELECT coord_ra FROM cat.Object UNION ALL SELECT NULL FROM cat.Source", [NONE]),
        ("SELECT NULL FROM cat.Object UNION ALL SELECT coord_ra FROM cat.Object", [NONE]),
        ("SELECT coord_ra FROM cat.Object EXCEPT SELECT ra FROM cat.Source", [RA]),
        ("SELECT coord_ra FROM cat.Object INTERSECT SELECT ra FROM cat.Source", [RA]),
        (
            (
                "SELECT u.x FROM (SELECT coord_ra AS x FROM cat.Object WHERE flux_count = 1 UNION"
                " (SELECT coord_ra FROM cat.Object EXCEPT SELECT ra FROM cat.Source)) AS u"
            ),
            [RA],
        ),
        (
            "SELECT objectId FROM cat.Object JOIN cat.Source USING (objectId)",
            [(OBJECT, "objectId")],
        ),
        ("SELECT objectId FROM cat.Object NATURAL RIGHT JOIN cat.Source", [("cat.Source", "objectId")]),
        ("SELECT objectId FROM cat.Object FULL JOIN cat.Source USING (objectId)", [NONE]),
        ("SELECT pos, footprint FROM cat.Object", [(OBJECT, "pos"), (OBJECT, "footprint")]),
        ("SELECT s_region FROM obscore", [("ivoa.ObsCore", "s_region")]),
        ("SELECT ra FROM TAP_UPLOAD.mine", [NONE]),
    ],
)
def test_an_output_column_names_the_published_column_whose_values_it_holds(
    text: str, expected: list[Source]
) -> None:
    assert sources(text) == expected


def test_the_identifier_is_that_of_tap_schema_whose_spelling_is_kept() -> None:
    rows = [{"table_name": 'a."B c"', "column_name": '"d.e"', "datatype": "int"}]
    published = metadata_from_rows([{"table_name": 'a."B c"'}], rows)
    (column,) = to_postgres(parse('SELECT "d.e" AS x FROM a."B c"'), published).columns
    assert (column.table, column.column) == ('a."B c"', '"d.e"')
    assert column.identifier == column_id('a."B c"', '"d.e"') == "a_B_c_d.e"


# -- PostgreSQL says from which table and column a column of a result comes (PQftable, PQftablecol)
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(clone_for_session: Callable[[str], sa.URL], template_database: str) -> Iterator[Connection]:
    url = clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(
        url.render_as_string(hide_password=False), autocommit=True, cursor_factory=psycopg.RawCursor
    ) as connection:
        create_published_tables(connection)
        yield connection


def sources_by_postgres(connection: Connection, text: str) -> list[Source]:
    compiled = to_postgres(parse(text), METADATA)
    cursor = connection.execute(compiled.sql, compiled.parameters)
    result = cursor.pgresult
    assert result is not None
    found: list[Source] = []
    for place in range(result.nfields):
        row = connection.execute(
            "SELECT n.nspname || '.' || c.relname, a.attname FROM pg_attribute a JOIN pg_class c"
            " ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE a.attrelid = $1 AND a.attnum = $2",
            [result.ftable(place), result.ftablecol(place)],
        ).fetchone()
        found.append(NONE if row is None else row)
    return found


@st.composite
def nested_queries(draw: st.DrawFn) -> str:
    """Return a query whose columns come through aliases, subqueries, WITH and joins, some as expressions."""
    names = draw(st.permutations(NUMBERS))[: draw(st.integers(1, 5))]
    relation, joined, tables = "cat.Object", draw(st.booleans()), ""
    for level in range(draw(st.integers(0, 4))):
        items = []
        outputs = []
        for number in range(draw(st.integers(1, 4))):
            name = draw(st.sampled_from(names))
            shape = draw(st.sampled_from(("{0}", "{0}", "t.{0}", "{0} + 1", "-{0}", "ABS({0})")))
            outputs.append(f"c{level}_{number}")
            items.append(f"{shape.format(name)} AS {outputs[-1]}")
        distinct = draw(st.sampled_from(("", "DISTINCT ")))
        inner = f"SELECT {distinct}{', '.join(items)} FROM {relation} AS t"
        names = outputs
        if draw(st.booleans()):
            tables += f"{', ' if tables else 'WITH '}w{level} AS ({inner})"
            relation = f"w{level}"
        else:
            relation = f"({inner})"
    items = list(draw(st.lists(st.sampled_from(names), min_size=1, max_size=4)))
    source = f"{relation} AS t"
    if joined:
        source += (
            f" {draw(st.sampled_from(('', 'LEFT ', 'RIGHT ')))}JOIN cat.Source AS s ON t.{names[0]} = s.ra"
        )
        items = [f"t.{item}" for item in items] + [f"s.{draw(st.sampled_from(OTHERS))} AS other"]
    return f"{tables} SELECT {', '.join(items)} FROM {source}".strip()


@given(nested_queries())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sources_are_those_that_postgresql_finds(database: Connection, text: str) -> None:
    assert sources(text) == sources_by_postgres(database, text)


def test_postgresql_tells_columns_from_expressions_and_from_one_another(database: Connection) -> None:
    text = "SELECT coord_ra, coord_dec AS x, coord_ra + 1 FROM cat.Object"
    assert sources_by_postgres(database, text) == [RA, (OBJECT, "coord_dec"), NONE]
