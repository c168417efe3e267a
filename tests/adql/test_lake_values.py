"""What an engine on files answers: the rows of PostgreSQL to the last bit, or a refusal by name."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlglot

from adql import Limits, Server, parse, to_postgres
from tests.adql.lake_expressions import expression_query
from tests.adql.lake_twin import Twin

SAMPLE, ALL = 150, 3000


@pytest.mark.parametrize(
    ("first", "last"), [(0, SAMPLE), pytest.param(SAMPLE, ALL, marks=pytest.mark.soak, id="many")]
)
def test_a_generated_query_has_the_rows_of_postgresql_or_is_refused(
    first: int, last: int, twin: Twin
) -> None:
    outcomes = {seed: twin.outcome(expression_query(seed)) for seed in range(first, last)}
    assert [seed for seed, outcome in outcomes.items() if outcome == "different"] == []
    # Queries that PostgreSQL stops at prove nothing, and refusals little.
    assert Counter(outcomes.values())["same"] > 0.8 * len(outcomes)


@pytest.mark.parametrize(
    "value",
    [
        "i2 + i2",
        "i4 / 7",
        "-i4 / 2",
        "MOD(i8, -7)",
        "f4 * f4",
        "f4 / 3",
        "f4 - i2",
        "i8 + 0.5",
        "CAST(f8 AS SMALLINT)",
        "CAST(f8 AS INTEGER)",
        "CAST(f8 AS BIGINT)",
        "CAST(f8 AS REAL)",
        "ROUND(f8, 4)",
        "ROUND(f4, 1)",
        "ROUND(i8, -2)",
        "LOG10(f8)",
        "LOG(f4)",
        "POWER(f8, 3)",
        "POWER(f8, 0.5)",
        "POWER(ABS(i2) + 1, dec / 10)",
        "POWER(2, dec)",
        "EXP(dec)",
        "DEGREES(f4)",
        "COT(f8)",
        "ASIN(f8)",
        "scisql_nanojanskyToAbMag(f4)",
        "scisql_nanojanskyToAbMagSigma(f8, f4)",
        "DISTANCE(ra, dec, 10, 5)",
        "DISTANCE(POINT(ra, dec), POINT(dec, ra / 4))",
        "COORD2(POINT(ra, dec))",
        "code || name || band",
        "CAST(t AS VARCHAR)",
        "COALESCE(i2, f4)",
    ],
)
def test_a_value_has_all_bits_of_that_of_postgresql(value: str, twin: Twin) -> None:
    text = f"SELECT id, {value} AS v FROM cat.things ORDER BY id"  # noqa: S608
    assert twin.in_lake(text) == twin.in_postgres(text)


@pytest.mark.parametrize(
    "argument", ["i2", "i4", "i8", "f4", "f8", "DISTINCT f8", "DISTINCT f4", "DISTINCT i4"]
)
def test_sums_and_means_are_those_of_postgresql_to_the_last_bit(argument: str, twin: Twin) -> None:
    text = (
        f"SELECT band, SUM({argument}) AS s, AVG({argument}) AS m, COUNT({argument}) AS n FROM cat.things"  # noqa: S608
        " WHERE f8 BETWEEN -1e20 AND 1e20 GROUP BY band ORDER BY band"
    )
    assert twin.in_lake(text) == twin.in_postgres(text)


def test_sums_and_means_of_no_rows_are_null(twin: Twin) -> None:
    text = "SELECT AVG(i4) AS a, AVG(f8) AS b, SUM(i8) AS c, SUM(f4) AS d, MAX(id) AS e FROM cat.things"
    assert twin.in_lake(f"{text} WHERE id < 0").rows == [("None",) * 5]


@pytest.mark.parametrize(
    "cells", [(1, 2), (10, 0, 0), (-7, 0, 0), (1, 1, 1, 1, 1, 1, 2), (10**18, 10**18, 5)]
)
def test_a_mean_of_integers_has_the_digits_of_a_decimal_quotient(cells: tuple[int, ...], twin: Twin) -> None:
    values = " UNION ALL ".join(f"SELECT TOP 1 id - id + {cell} AS v, id FROM cat.things" for cell in cells)  # noqa: S608
    text = f"SELECT AVG(d.v) AS m FROM ({values}) AS d"  # noqa: S608
    assert twin.in_lake(text) == twin.in_postgres(text)


def test_a_sum_of_negative_zeros_is_one(twin: Twin) -> None:
    text = "SELECT SUM(-0.0 * ABS(id)) AS s, AVG(-0.0 * ABS(id)) AS m FROM cat.things"
    assert twin.in_lake(text) == twin.in_postgres(text)
    assert twin.in_lake(text).rows == [("-0.0", "0.0")]


def test_sums_in_any_order_differ(twin: Twin) -> None:
    # The control: without exact sums the order of the rows decides.
    twin.lake.execute("CREATE OR REPLACE TABLE lake.edges AS SELECT * FROM lake.things ORDER BY hash(id)")
    text = "SELECT SUM(ra * 1e-3 + dec) AS s FROM cat.{}"
    exact = {repr(twin.in_lake(text.format(table)).rows) for table in ("things", "edges")}
    plain = {repr(twin.in_lake(text.format(table), exact_sums=False).rows) for table in ("things", "edges")}
    assert (len(exact), len(plain)) == (1, 2)


def test_a_real_that_is_compared_with_a_double_is_one(twin: Twin) -> None:
    # DuckDB compares a real with a decimal literal in single precision.
    twin.lake.execute(
        "CREATE OR REPLACE TABLE lake.edges AS SELECT * REPLACE (CAST(0.1 AS FLOAT) AS f4) FROM lake.things"
    )
    assert twin.in_lake("SELECT COUNT(*) AS n FROM cat.edges WHERE f4 = 0.1").rows == [("0",)]
    assert twin.lake.execute("SELECT count(*) FROM lake.edges WHERE f4 = 0.1").fetchall() != [(0,)]


def test_the_order_of_nulls_is_written_out(twin: Twin) -> None:
    text = "SELECT id, f8 FROM cat.things WHERE f8 IS NULL OR f8 > 5 ORDER BY f8 DESC, id"
    sql = twin.translated(text).sql
    assert "NULLS FIRST" in sql
    assert "NULLS LAST" in sql
    expected = twin.in_postgres(text)
    cursor = twin.lake.cursor()
    cursor.execute("SET default_null_order = 'nulls_last'")
    assert [str(row[0]) for row in cursor.execute(sql).fetchall()] == [row[0] for row in expected.rows]
    # The control: without the words the session decides.
    implicit = sql.replace("NULLS FIRST", "").replace("NULLS LAST", "")
    assert [str(row[0]) for row in cursor.execute(implicit).fetchall()] != [row[0] for row in expected.rows]


def test_sql_for_postgresql_that_is_transpiled_answers_otherwise(twin: Twin) -> None:
    # The control: why queries are written from their trees.
    different = set()
    for value in ("LOG10(ABS(f4) + 1)", "ROUND(f8, 1)", "i4 / 7", "CAST(f8 AS INTEGER)"):
        text = f"SELECT id, {value} AS v FROM cat.things WHERE ABS(f8) < 1e9 ORDER BY id"  # noqa: S608
        compiled = to_postgres(parse(text), twin.metadata, Limits(), server=Server(inline=True))
        moved = sqlglot.transpile(compiled.sql, read="postgres", write="duckdb")[0].replace("cat", "lake")
        try:
            found = [repr(row[1]) for row in twin.lake.execute(moved).fetchall()]
        except Exception:  # noqa: BLE001  any error is another answer
            found = []
        if found != [row[1] for row in twin.in_postgres(text).rows]:
            different.add(value)
        assert twin.in_lake(text) == twin.in_postgres(text)
    assert different


@pytest.mark.parametrize(
    "condition",
    [
        "code = 'a '",
        "code > 'ab '",
        "code BETWEEN 'a ' AND 'b '",
        "code IN ('a ', 'B')",
        "code IN ('a ')",
        "band = '' OR band = ' '",
        "band IN ('g ', 'r')",
        "code = name",
        "code LIKE 'a%' AND code NOT LIKE 'a'",
        "code IN (SELECT code FROM cat.things WHERE id < 50)",
    ],
)
def test_blanks_at_the_end_of_text_of_a_fixed_length_count_as_in_postgresql(
    condition: str, twin: Twin
) -> None:
    text = f"SELECT id FROM cat.things WHERE {condition} ORDER BY id"  # noqa: S608
    assert twin.in_lake(text) == twin.in_postgres(text)


def test_names_that_differ_in_case_alone_stay_apart(twin: Twin) -> None:
    text = (
        'SELECT a.id AS n, A."N" AS m FROM cat.things AS a JOIN (SELECT id AS "n", i2 AS "N" FROM cat.things)'
        ' AS "b" ON a.id = "b"."n" ORDER BY 1'
    ).replace('A."N"', '"b"."N"')
    assert twin.in_lake(text) == twin.in_postgres(text)
