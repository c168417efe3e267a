"""What translated queries return: the same with parameters and inline, and what ADQL means."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import astropy.units as u
import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adql import RUBIN, Limits, Server, parse, to_postgres, tree, validate
from adql.walk import constant_value, walk
from tests.adql.published_tables import METADATA, create_published_tables
from tests.adql.queries import good_queries

Connection = psycopg.Connection[Any]
Rows = list[tuple[Any, ...]]

ROWS = Path(__file__).parent / "data" / "small_rows.sql"


@pytest.fixture(scope="module")
def filled_database(
    clone_for_session: Callable[[str], sa.URL], template_database: str
) -> Iterator[Connection]:
    """Return a connection to a database with a few rows."""
    url = clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(
        url.render_as_string(hide_password=False), autocommit=True, cursor_factory=psycopg.RawCursor
    ) as connection:
        create_published_tables(connection)
        psycopg.ClientCursor(connection).execute(ROWS.read_bytes())
        yield connection


@pytest.fixture
def database(filled_database: Connection) -> Iterator[Connection]:
    """Return that connection in a transaction that is rolled back."""
    with filled_database.transaction(force_rollback=True):
        yield filled_database


def rows(database: Connection, text: str, limits: Limits | None = None) -> Rows:
    """Return the rows of a query, which are the same with parameters and without."""
    query = parse(text, dialect=RUBIN)
    found = []
    for server in (Server(), Server(inline=True)):
        compiled = to_postgres(query, METADATA, limits or Limits(), server=server)
        found.append(database.execute(compiled.sql, compiled.parameters).fetchall())
    assert found[0] == found[1]
    return found[0]


def value(database: Connection, expression: str, where: str = "objectId = 1") -> Any:
    """Return one value of one row."""
    ((only,),) = rows(database, f"SELECT {expression} AS v FROM cat.Object WHERE {where}")
    return only


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("100 / 10 / 5", 2),
        ("-flux_count", -3),
        ("- coord_ra", -10.0),
        ("coord_ra - -1", 11.0),
        ("ABS(-3)", 3),
        ("ABS(-3.0)", 3.0),
        ("ABS(5) / 2", 2),
        ("ABS(flux_count) / 2", 1),
        ("ABS(9007199254740993)", 9_007_199_254_740_993),
        ("ABS(-9223372036854775807)", 9_223_372_036_854_775_807),
        ("CEILING(1.2)", 2.0),
        ("FLOOR(-1.2)", -2.0),
        ("ROUND(2.5)", 3.0),
        ("ROUND(-2.5)", -3.0),
        ("ROUND(1234.567, 2)", 1234.57),
        ("ROUND(1234.567, -2)", 1200.0),
        ("TRUNCATE(-1.9)", -1.0),
        ("TRUNCATE(1234.567, 1)", 1234.5),
        ("TRUNCATE(1299, -2)", 1200.0),
        ("MOD(7, 3)", 1.0),
        ("MOD(-7, 3)", -1.0),
        ("MOD(7.5, 2)", 1.5),
        ("MOD(9007199254740993, 10)", 3.0),
        ("POWER(2, 10)", 1024.0),
        ("LOG(EXP(2))", 2.0),
        ("LOG10(1000)", 3.0),
        ("SQRT(16)", 4.0),
        ("DEGREES(PI())", 180.0),
        ("ATAN2(1, 1)", math.pi / 4),
        ("COT(RADIANS(45))", 1.0),
        ("COALESCE(NULL, NULL, 5)", 5),
        ("COALESCE(psfFlux, -1)", 100.0),
        ("CAST(2.6 AS INTEGER)", 3),
        ("CAST('12' AS BIGINT)", 12),
        ("CAST(1 AS VARCHAR)", "1"),
        ("CAST('abcdef' AS VARCHAR(3))", "abc"),
        ("CAST('ab' AS CHAR(4))", "ab  "),
        ("UPPER('aB') || LOWER('cD')", "ABcd"),
        ("name || '-' || objectId", "alpha-1"),
        ("'a' || 1", "a1"),
        ("'it''s'", "it's"),
        (r"'back\slash'", r"back\slash"),
        ("detect_isPrimary + 1", 2),
        ("CAST(detect_isPrimary AS INTEGER)", 1),
        ("CAST(detect_isPrimary AS DOUBLE PRECISION)", 1.0),
        ("detect_isPrimary", True),
        ("CAST(epoch AS VARCHAR)", "2024-01-01T12:00:00"),
        ("epoch", datetime(2024, 1, 1, 12)),  # noqa: DTZ001  timestamps of DALI have no zone
        ("3000000000 + 1", 3000000001),
        ("NULL", None),
        ("2 * (NULL)", None),
        ("flux_count - (NULL)", None),
        ("-(NULL)", None),
        ("coord_ra / (NULL)", None),
        ("(NULL) || 'a'", None),
        ("tap_double(coord_ra + 1)", 22.0),
        ("tap_label(name, 5)", "alpha5"),
        ("IN_UNIT(coord_ra, 'arcmin')", 600.0),
        ("IN_UNIT(psfFlux, 'Jy')", 1e-7),
    ],
)
def test_a_value_is_what_adql_says(expression: str, expected: object, database: Connection) -> None:
    found = value(database, expression)
    assert found == (pytest.approx(expected, rel=1e-14) if isinstance(expected, float) else expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize("line", good_queries("results.txt"))
def test_a_query_returns_what_adql_says(line: str, database: Connection) -> None:
    expected, _, text = line.partition(" | ")
    assert rows(database, text) == ast.literal_eval(expected)


def test_a_subquery_does_not_capture_the_alias_of_the_query_around_it(database: Connection) -> None:
    # Both tables are called Object, and the inner one would hide the outer one in the SQL.
    text = (
        "SELECT objectId FROM cat.Object WHERE EXISTS"
        " (SELECT 1 FROM other.Object WHERE other.Object.objectId = cat.Object.objectId)"
    )
    assert rows(database, text) == [(1,)]


def test_one_row_more_than_maxrec_is_returned_so_that_the_overflow_shows(database: Connection) -> None:
    assert len(rows(database, "SELECT objectId FROM cat.Object", Limits(max_rows=2))) == 3
    assert len(rows(database, "SELECT TOP 1 objectId FROM cat.Object", Limits(max_rows=2))) == 1


def test_magnitudes_are_those_of_astropy_and_a_flux_that_is_not_positive_has_none(
    database: Connection,
) -> None:
    text = (
        "SELECT objectId, scisql_nanojanskyToAbMag(psfFlux),"
        " scisql_nanojanskyToAbMagSigma(psfFlux, psfFluxErr) FROM cat.Object ORDER BY 1"
    )
    first, negative, third, null = rows(database, text)
    for row, flux, error in ((first, 100, 10), (third, 2.5, 0.5)):
        assert math.isclose(row[1], (flux * u.nJy).to_value(u.ABmag), abs_tol=1e-6)
        assert math.isclose(row[2], 2.5 / math.log(10) * error / flux, rel_tol=1e-6)
    assert negative[1:] == null[1:] == (None, None)


@pytest.mark.parametrize("setting", ["on", "off"])
def test_a_literal_that_is_written_out_means_the_same_under_each_setting_of_the_server(
    setting: str, database: Connection
) -> None:
    database.execute(f"SET standard_conforming_strings = {setting}")
    database.execute("SET escape_string_warning = off")
    for literal in (r"a\b", r"\'", "it's", "\\", r"\\x41", "%s"):
        written = literal.replace("'", "''")
        query = parse(f"SELECT '{written}' AS v FROM cat.Object WHERE objectId = 1")
        compiled = to_postgres(query, METADATA, server=Server(inline=True))
        cursor = psycopg.ClientCursor(database)
        assert cursor.execute(compiled.sql.encode()).fetchone() == (literal,)


def test_sums_of_single_precision_are_added_up_in_double_precision(database: Connection) -> None:
    database.execute(
        'INSERT INTO cat."Object" ("objectId", "psfFlux", band)'
        " SELECT 100 + i, 0.1, 'z' FROM generate_series(1, 100000) AS i"
    )
    ((total,),) = rows(database, "SELECT SUM(psfFlux) AS s FROM cat.Object WHERE band = 'z'")
    assert math.isclose(total, 100_000 * 0.10000000149011612, rel_tol=1e-12)


UNDEFINED = (
    *(
        "LOG10(-x)",
        "LOG10(0 * x)",
        "LOG(-x)",
        "SQRT(-x)",
        "ACOS(2 * x)",
        "ASIN(-2 * x)",
        "x / (x - x)",
        "1 / (n - n)",
    ),
    *("MOD(n, n - n)", "MOD(x, x - x)", "POWER(-x, 0.5)", "POWER(0 * x, -1)", "POWER(-x, x / 7)"),
    *(
        "POWER(x - x, -n)",
        "CAST(x * 1e30 AS BIGINT)",
        "CAST(x * 1e30 AS INTEGER)",
        "CAST(x * 1e9 AS SMALLINT)",
    ),
)


@pytest.mark.parametrize("expression", UNDEFINED)
def test_a_function_that_has_no_value_for_one_row_is_null_there(
    expression: str, database: Connection
) -> None:
    written = re.sub(r"\bn\b", "flux_count", re.sub(r"\bx\b", "coord_ra", expression))
    text = f"SELECT objectId, {written} AS v FROM cat.Object WHERE objectId IN (1, 4) ORDER BY 1"
    if "flux_count" in written:
        text = text.replace("(1, 4)", "(1)")
    assert {found for _, found in rows(database, text)} == {None}


@pytest.mark.parametrize("expression", ["EXP(-1000 * coord_ra)", "EXP(-1000)", "POWER(10, -40 * coord_ra)"])
def test_what_is_too_small_is_zero(expression: str, database: Connection) -> None:
    assert value(database, expression) == 0
    assert value(database, expression.replace("-1000)", "coord_ra)"), "objectId = 4") in (None, 0)


@given(
    names=st.sampled_from(
        (("LOG10", "log"), ("LOG", "ln"), ("SQRT", "sqrt"), ("ACOS", "acos"), ("EXP", "exp"))
    ),
    argument=st.floats(-1, 1, allow_subnormal=False) | st.floats(-700, 700, allow_subnormal=False),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_function_has_the_value_of_the_server_wherever_that_has_one(
    names: tuple[str, str], argument: float, database: Connection
) -> None:
    name, own = names
    compiled = to_postgres(parse(f"SELECT TOP 1 {name}({argument!r}) AS v FROM cat.Object"), METADATA)
    (found,) = database.execute(compiled.sql, compiled.parameters).fetchall()[0]
    try:
        with database.transaction():
            (wanted,) = database.execute(f"SELECT {own}(CAST($1 AS float8))", (argument,)).fetchall()[0]
    except psycopg.DataError:
        wanted = None
    assert found == wanted


@given(numbers=st.lists(st.integers(-99, 99), min_size=1, max_size=5), data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_constant_is_the_same_folded_and_computed_by_the_server(
    numbers: list[int], data: st.DataObject, database: Connection
) -> None:
    text = str(numbers[0])
    for number in numbers[1:]:
        point = data.draw(st.sampled_from(("", ".5", ".0")))
        text = f"({text}) {data.draw(st.sampled_from('+-*/'))} ({number or 1}{point})"
    query = validate(parse(f"SELECT {text} AS v FROM cat.Object WHERE objectId = 1"), METADATA)
    (output,) = (part for part in walk(query) if isinstance(part, tree.Output))
    assert constant_value(output.expression) == value(database, text)


def test_p_and_not_p_part_the_rows_whatever_constant_stands_in_p(database: Connection) -> None:
    for constant in ("5/60", "5.0/60", "7/2", "-7/2"):
        distance = "DISTANCE(20.0, 1.0, coord_ra, coord_dec)"
        found = [
            rows(database, f"SELECT objectId FROM cat.Object WHERE {distance} {sign} {constant}")
            for sign in (">=", "<")
        ]
        assert sorted(found[0] + found[1]) == [(1,), (2,), (3,)]


def test_a_decimal_without_exponent_is_exact_beside_a_bigint(database: Connection) -> None:
    first = 611255759837069400
    database.execute(
        'INSERT INTO cat."Object" ("objectId") SELECT $1::bigint + i FROM generate_series(-20, 20) AS i',
        (first,),
    )
    for condition, count in (
        (f"objectId = {first}.0", 1),
        (f"objectId = {first}.5", 0),
        (f"objectId IN ({first}, 1.5)", 1),
        (f"objectId IN ({first}.0, 1e0)", 2),
        (f"objectId IN ({first}, coord_ra)", 1),
        (f"objectId NOT IN ({first}, 1.5)", 44),
        (f"objectId BETWEEN {first}.0 AND {first}.5", 1),
        (f"objectId > {first}.5", 20),
        ("objectId < 9223372036854775808", 45),
        (f"objectId = '{first}.0'", 1),
        (f"objectId > -{first}.5", 45),
    ):
        assert rows(database, f"SELECT COUNT(*) AS n FROM cat.Object WHERE {condition}") == [(count,)], (
            condition
        )


@pytest.mark.parametrize(
    "expression",
    [
        "psfFlux - psfFluxErr",
        "psfFlux * psfFluxErr",
        "psfFlux / psfFluxErr",
        "ABS(psfFlux)",
        "COALESCE(psfFlux, flux_count)",
        "COALESCE(flux_count, psfFlux)",
        "tap_double(psfFlux)",
    ],
)
def test_real_numbers_are_computed_in_the_type_that_is_said_of_the_result(
    expression: str, database: Connection
) -> None:
    query = parse(f"SELECT {expression} AS v FROM cat.Object")
    compiled = to_postgres(query, METADATA)
    assert compiled.columns[0].datatype == "double"
    found = database.execute(
        f"SELECT pg_typeof(v) FROM ({compiled.sql}) AS q", compiled.parameters
    ).fetchone()
    assert found == ("double precision",)


POINT_RELATIONS = (
    "CONTAINS(POINT(coord_ra, coord_dec), CIRCLE(20, 80, 12)) = 1",
    "CONTAINS(POINT(coord_ra, coord_dec), POLYGON(0, 60, 120, 60, 240, 60)) = 1",
    "CONTAINS(POINT(20, 80), CIRCLE(coord_ra, coord_dec, 12)) = 1",
    "INTERSECTS(POINT(coord_ra, coord_dec), CIRCLE(20, 80, 90)) = 1",
    "INTERSECTS(CIRCLE(coord_ra, coord_dec, 1), CIRCLE(20, 80, 12)) = 1",
    "CONTAINS(POINT(coord_ra, coord_dec), CIRCLE(20, 80, 120)) = 1",
    "DISTANCE(coord_ra, coord_dec, 20, 80) < 12",
    "DISTANCE(POINT(20, 80), POINT(coord_ra, coord_dec)) BETWEEN 0 AND 12",
    "DISTANCE(coord_ra, coord_dec, 20, 80) <= ABS(flux_count)",
    "DISTANCE(coord_ra, coord_dec, 20, 80) > 1",
    "POINT(coord_ra, coord_dec) = POINT(200, 80)",
    "1 = CONTAINS(POINT(0, 0), POLYGON(coord_ra, coord_dec, 10, -10, 350, -10))",
    "CONTAINS(POINT(200, 80), BOX(coord_ra, coord_dec, 30, 30)) = 1",
    "CONTAINS(POINT(coord_ra, coord_dec), POINT(coord_ra, coord_dec)) = 1",
    "COORD2(POINT(coord_ra, coord_dec)) < 200",
    "COORD1(POINT(coord_ra, coord_dec)) < 200",
    "COORD2(COALESCE(POINT(coord_ra, coord_dec), POINT(1, 2))) = 80",
)


@pytest.mark.parametrize("relation", POINT_RELATIONS)
@pytest.mark.parametrize("source", ["cat.Object", "q"])
def test_a_point_of_columns_beyond_a_pole_is_null_in_every_condition(
    relation: str, source: str, database: Connection
) -> None:
    if source == "q":
        # Handed on by a subquery, once as such and once more by a second one.
        relation = relation.replace(
            "coord_ra, coord_dec, 20, 80", "POINT(coord_ra, coord_dec), POINT(20, 80)"
        )
        relation = relation.replace("POINT(coord_ra, coord_dec)", "p")
        point = "SELECT objectId, coord_ra, coord_dec, flux_count, POINT(coord_ra, coord_dec) AS p"
        source = f"(SELECT * FROM ({point} FROM cat.Object) AS r) AS q"
    # Beyond a pole: the point on the other side of it is (200, 80), or (20, -80).
    database.execute(
        'INSERT INTO cat."Object" ("objectId", coord_ra, coord_dec, flux_count) VALUES'
        " (21, 20, 100, 12), (22, 20, -260, 12), (23, 200, 1e9, 12), (24, 200, 'NaN', 12),"
        " (25, 200, 'Infinity', 12), (31, 20, 80, 12), (32, 20, 90, 12), (33, 20, -90, 12)"
    )
    opposite = relation.replace("= 1", "= 0").replace("1 = C", "0 = C")
    found = []
    for condition in (relation, f"NOT ({relation})", f"NOT (NOT ({relation}) AND objectId > 0)", opposite):
        text = f"SELECT objectId FROM {source} WHERE objectId > 20 AND ({condition})"
        found.append({number for (number,) in rows(database, text)})
    beyond = {21, 22, 23, 24, 25}
    # COALESCE has another point for them.
    assert found[0] | found[1] == {31, 32, 33} | (beyond if "COALESCE" in relation else set())
    assert found[0] == found[2]
    if opposite != relation and "COORD" not in relation:
        assert found[1] == found[3]


@pytest.mark.parametrize(
    "value_",
    [
        "POINT(coord_ra, coord_dec)",
        "COORD1(POINT(coord_ra, coord_dec))",
        "COORD2(POINT(coord_ra, coord_dec))",
        "AREA(CIRCLE(coord_ra, coord_dec, 1))",
        "DISTANCE(coord_ra, coord_dec, 0, 0)",
        "CIRCLE(coord_ra, coord_dec, 1)",
        "CONTAINS(POINT(coord_ra, coord_dec), CIRCLE(0, 0, 1))",
        "AREA(CIRCLE(0, 0, coord_dec))",
        "CONTAINS(POINT(0, 0), CIRCLE(0, 0, coord_dec))",
        "CONTAINS(POINT(0, 0), CIRCLE(0, 0, -coord_dec))",
        "AREA(POLYGON(0, 0, 5, 0, coord_ra, coord_dec))",
        "AREA(BOX(coord_ra, coord_dec, 1, 1))",
    ],
)
def test_a_geometry_that_one_row_makes_impossible_is_null_there(value_: str, database: Connection) -> None:
    database.execute('INSERT INTO cat."Object" ("objectId", coord_ra, coord_dec) VALUES (21, 20, 100)')
    assert value(database, value_, "objectId = 21") is None
    if "-coord_dec" not in value_:
        assert value(database, value_, "objectId = 2") is not None


def test_a_point_handed_on_by_a_subquery_in_other_ways_is_null_beyond_a_pole(database: Connection) -> None:
    database.execute('INSERT INTO cat."Object" ("objectId", coord_ra, coord_dec) VALUES (21, 20, 100)')
    point = "SELECT objectId, POINT(coord_ra, coord_dec) AS p FROM cat.Object WHERE objectId = 21"
    for source in (
        f"({point}) AS q",
        f"({point} UNION ALL {point}) AS q",
        f"(SELECT TOP 5 objectId, p FROM ({point}) AS r) AS q",
        f"({point}) AS q LEFT JOIN ({point}) AS r USING (objectId)".replace("AS p", "AS p, 1 AS one", 1),
    ):
        name = "q.p" if "JOIN" in source else "p"
        for found in rows(database, f"SELECT {name}, COORD2({name}) FROM {source}"):
            assert found == (None, None)
    # In a table of WITH, which is named twice.
    text = f"WITH w AS ({point}) SELECT a.p, COORD1(b.p) FROM w AS a JOIN w AS b ON a.objectId = b.objectId"
    assert rows(database, text) == [(None, None)]


TYPED = (
    "SELECT psfFlux AS v FROM cat.Object UNION ALL SELECT flux_count FROM cat.Object",
    "SELECT flux_count AS v FROM cat.Object UNION SELECT psfFlux FROM cat.Object",
    "SELECT psfFlux AS v FROM cat.Object EXCEPT SELECT objectId FROM cat.Object",
    "SELECT IN_UNIT(psfFlux, 'Jy') AS v FROM cat.Object",
    "SELECT AVG(psfFlux) AS v FROM cat.Object",
    "SELECT SUM(psfFlux) AS v FROM cat.Object",
    "SELECT MAX(psfFlux) AS v FROM cat.Object",
    "SELECT -psfFlux AS v FROM cat.Object",
    "SELECT AVG(flux_count) AS v FROM cat.Object",
    "SELECT SUM(DISTINCT psfFlux) AS v FROM cat.Object",
    "SELECT ROUND(psfFlux, 2) AS v FROM cat.Object",
    "SELECT MOD(psfFlux, 3) AS v FROM cat.Object",
    "SELECT SQRT(psfFlux) AS v FROM cat.Object",
    "SELECT SIN(psfFlux) AS v FROM cat.Object",
    "SELECT ATAN(psfFlux) AS v FROM cat.Object",
    "SELECT ATAN2(psfFlux, flux_count) AS v FROM cat.Object",
    "SELECT DEGREES(psfFlux) AS v FROM cat.Object",
    "SELECT CEILING(psfFlux) AS v FROM cat.Object",
    "SELECT COALESCE(psfFlux, psfFluxErr) AS v FROM cat.Object",
    "SELECT a.psfFlux AS v FROM cat.Object AS a FULL JOIN cat.Source AS b USING (psfFlux)",
    "SELECT psfFlux AS v FROM cat.Object AS a FULL JOIN cat.Source AS b USING (psfFlux)",
    "SELECT s v FROM (SELECT psfFlux s FROM cat.Object) a FULL JOIN (SELECT 1 s FROM cat.Object) b USING (s)",
    "SELECT v FROM (SELECT psfFlux AS v FROM cat.Object UNION ALL SELECT flux_count FROM cat.Object) AS q",
    "SELECT psfFlux v FROM cat.Object UNION ALL (SELECT 1 FROM cat.Object EXCEPT SELECT 2 FROM cat.Object)",
    "SELECT CAST(flux_count AS SMALLINT) AS v FROM cat.Object UNION ALL SELECT psfFlux FROM cat.Object",
    "SELECT NULL AS v FROM cat.Object UNION ALL SELECT psfFlux FROM cat.Object",
    "SELECT ABS(detect_isPrimary) AS v FROM cat.Object",
    "SELECT -detect_isPrimary AS v FROM cat.Object",
    "SELECT +detect_isPrimary AS v FROM cat.Object",
    "SELECT -(-detect_isPrimary) * 2 AS v FROM cat.Object",
    "SELECT COALESCE(-detect_isPrimary, flux_count) AS v FROM cat.Object",
    "SELECT COUNT(*) AS v FROM cat.Object",
    "SELECT COALESCE(flux_count, objectId) AS v FROM cat.Object",
    "SELECT SUM(flux_count) AS v FROM cat.Object",
    "SELECT SUM(objectId) AS v FROM cat.Object",
    "SELECT SUM(detect_isPrimary) AS v FROM cat.Object",
    "SELECT AVG(objectId) AS v FROM cat.Object",
)
SQL_TYPES = {
    "double": "double precision",
    "float": "real",
    "int": "integer",
    "long": "bigint",
    "short": "smallint",
}


@pytest.mark.parametrize("text", TYPED)
def test_a_result_has_the_type_that_is_said_of_it(text: str, database: Connection) -> None:
    compiled = to_postgres(parse(text), METADATA)
    typed = f"SELECT pg_typeof(v) FROM ({compiled.sql}) AS q LIMIT 1"
    assert database.execute(typed, compiled.parameters).fetchone() == (
        SQL_TYPES[compiled.columns[0].datatype],
    )


def test_a_set_operation_of_real_and_integer_keeps_the_digits_of_both(database: Connection) -> None:
    database.execute(
        'INSERT INTO cat."Object" ("objectId", flux_count, "psfFlux") VALUES (77, 16777217, 16777216)'
    )
    first = "SELECT flux_count AS v FROM cat.Object WHERE objectId = 77"
    second = first.replace("flux_count", "psfFlux")
    assert sorted(rows(database, f"{first} UNION {second}")) == [(16777216.0,), (16777217.0,)]
    assert rows(database, f"{first} EXCEPT {second}") == [(16777217.0,)]
    assert rows(database, f"{first} INTERSECT {second}") == []
    ordered = "(SELECT DISTINCT TOP 5 psfFlux FROM cat.Object WHERE objectId = 77 ORDER BY psfFlux)"
    assert rows(database, f"{ordered} UNION ALL {first}") == [(16777216.0,), (16777217.0,)]
    grouped = "SELECT psfFlux FROM cat.Object WHERE objectId = 77 GROUP BY psfFlux"
    assert len(rows(database, f"{grouped} UNION ALL {first}")) == 2
