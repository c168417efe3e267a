"""What an engine on files cannot answer as PostgreSQL does is refused by name, at its place."""

from __future__ import annotations

import pytest

from adql import RUBIN, Dialect, parse
from adql.backends.lake.query import to_lake
from adql.errors import AdqlEngineError
from tests.adql.lake_twin import Twin

REFUSED = {
    "POINT(ra, dec)": "a geometry as a value",
    "CIRCLE(ra, dec, 1)": "a geometry as a value",
    "AREA(CIRCLE(ra, dec, 1))": "the area of a geometry",
    "CONTAINS(POINT(ra, dec), POLYGON(0, 0, 1, 0, 1, 1))": "a geometry other than",
    "CONTAINS(POINT(ra, dec), BOX(0, 0, 1, 1))": "a geometry other than",
    "CONTAINS(CIRCLE(ra, dec, 1), CIRCLE(1, 2, 3))": "CONTAINS of other than a point and a circle",
    "INTERSECTS(CIRCLE(ra, dec, 1), CIRCLE(1, 2, 3))": "INTERSECTS of other than a point and a circle",
    "DISTANCE(POINT(ra, dec), CENTROID(POLYGON(0, 0, 1, 0, 1, 1)))": "a geometry other than",
    "CAST(f8 AS VARCHAR)": "the text of such a value",
    "f4 || 'x'": "the text of such a value",
    "CAST(name AS CHAR(3))": "text of a fixed length",
    "CAST(name AS INTEGER)": "text that becomes a number",
    "CAST(name AS TIMESTAMP)": "text that becomes a timestamp",
    "COALESCE(band, code)": "text of several fixed lengths",
    "TRUNCATE(f8, 1)": "TRUNCATE to a number of places",
    "ROUND(f8, 12)": "ROUND to other than a constant",
    "MOD(f8, 3)": "MOD of numbers with decimal places",
    "RAND()": "a random number",
    "here_alone(f8)": "here_alone(), which says nothing of this engine",
}
CONDITIONS = {
    "POINT(ra, dec) = POINT(1, 2)": "a comparison of geometries",
    "POINT(ra, dec) IS NULL": "a geometry as a value",
    "id > 123456789012345678901234567890123456789.5": "a number of so many digits",
    "name IN (SELECT code FROM cat.things)": "text among rows of a fixed length",
}


def refusal(text: str, twin: Twin, **changes: object) -> AdqlEngineError:
    with pytest.raises(AdqlEngineError) as found:
        twin.translated(text, **changes)
    return found.value


@pytest.mark.parametrize("value", REFUSED)
def test_a_value_is_refused_by_name_at_its_place(value: str, twin: Twin) -> None:
    error = refusal(f"SELECT id,\n {value} AS v FROM cat.things", twin)  # noqa: S608
    assert REFUSED[value] in str(error)
    assert str(error).startswith("DuckDB cannot answer ")
    assert (error.line, error.hint) == (2, "ask the database")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_refused_by_name_at_its_place(condition: str, twin: Twin) -> None:
    text = f"SELECT id FROM cat.things\nWHERE {condition}"  # noqa: S608
    error = refusal(text, twin)
    assert CONDITIONS[condition] in str(error)
    assert error.line == 2


def test_columns_of_several_lengths_are_refused_in_a_set_operation(twin: Twin) -> None:
    error = refusal("SELECT band FROM cat.things UNION SELECT name FROM cat.things", twin)
    assert "text of several lengths in one column" in str(error)


def test_a_table_that_is_not_in_the_lake_is_refused(twin: Twin) -> None:
    error = refusal("SELECT id FROM cat.elsewhere", twin)
    assert "a table that is not in the lake" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM cat.things ORDER BY name",
        "SELECT name FROM cat.things ORDER BY 1",
        "SELECT id FROM cat.things WHERE name > 'b'",
        "SELECT MIN(name) AS m FROM cat.things",
    ],
)
def test_text_is_not_ordered_in_another_collation(text: str, twin: Twin) -> None:
    assert "in another collation" in str(refusal(text, twin, orders_text=False))
    assert twin.in_lake(text.replace("name >", "name ="), orders_text=True) is not None


def test_equal_text_needs_no_collation(twin: Twin) -> None:
    text = "SELECT id FROM cat.things WHERE name = 'a' OR band IN ('g', 'r') ORDER BY id"
    assert twin.in_lake(text, orders_text=False) == twin.in_postgres(text)


def test_rows_of_truth_values_are_no_numbers(twin: Twin) -> None:
    dialect = Dialect(name="wide", case_expressions=True, scalar_subqueries=True)
    text = "SELECT CASE i2 WHEN 1 THEN 'one' ELSE name END AS w, (SELECT MAX(i4) FROM cat.things) AS m"
    query = parse(f"{text} FROM cat.things ORDER BY id", dialect=dialect)
    compiled = to_lake(query, twin.metadata, twin.store)
    assert len(twin.lake.execute(compiled.sql).fetchall()) == 200
    assert RUBIN.name == "rubin"
