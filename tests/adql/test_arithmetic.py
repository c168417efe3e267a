"""Arithmetic over values of columns: NULL, 0 or an error that names the expression, as decision 70 says."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from adql import CompiledQuery, Server, parse, to_postgres
from tap_query.errors import QueryFailedError
from tap_query.execute import fetch
from tests.adql.published_tables import METADATA, create_published_tables

Connection = psycopg.Connection[Any]
ERROR = "error"


@pytest.fixture(scope="module")
def own_database(clone_for_session: Callable[[str], sa.URL], template_database: str) -> Iterator[Connection]:
    """Return a connection to a database with one row."""
    url = clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        create_published_tables(connection)
        connection.execute('INSERT INTO cat."Object" ("objectId") VALUES (1)')
        yield connection


@pytest.fixture
def database(own_database: Connection) -> Iterator[Connection]:
    """Return that connection in a transaction that is rolled back."""
    with own_database.transaction(force_rollback=True):
        yield own_database


def computed(database: Connection, expression: str, **values: Any) -> Any:
    """Return the value of an expression for one row; `ERROR` if the database refuses it.

    x and y are double precision, r is real, n integer, i bigint, t a text.
    """
    names = {
        "x": "coord_ra",
        "y": "coord_dec",
        "r": "psfFlux",
        "n": "flux_count",
        "i": "objectId",
        "t": "name",
    }
    given_values = {names[name]: value for name, value in values.items()}
    columns = ", ".join(f'"{name}" = %({name})s' for name in given_values)
    words = [names.get(word, word) for word in _words(expression)]
    query = parse(f"SELECT {''.join(words)} AS v FROM cat.Object")
    with database.transaction(force_rollback=True):
        database.execute(f'UPDATE cat."Object" SET {columns}'.encode(), given_values)
        one, other = (
            _run(database, to_postgres(query, METADATA, server=Server(inline=of))) for of in (False, True)
        )
    assert repr(one) == repr(other)
    return one


def _run(database: Connection, compiled: CompiledQuery) -> Any:
    try:
        with database.transaction():
            ((only,),) = fetch(database, compiled, max_rows=None).rows
    except QueryFailedError as error:
        return ERROR if error.fault == "user" and "look at " in str(error) else str(error)
    return only


def _words(text: str) -> list[str]:
    words, word = [], ""
    for character in text:
        if character.isalnum() or character == "_":
            word += character
            continue
        words += [word, character]
        word = ""
    return [*words, word]


INFINITE = {"x": math.inf}
NAMED = (
    ("LOG10(x)", {"x": -1.0}, None),
    ("LOG10(x)", {"x": 0.0}, None),
    ("LOG(x)", {"x": -5e-324}, None),
    ("31.4 - 2.5 * LOG10(r)", {"r": -3.0}, None),
    ("SQRT(x)", {"x": -1e-300}, None),
    ("ACOS(x)", {"x": 1.0000000000000002}, None),
    ("ASIN(x)", {"x": -2.0}, None),
    ("x / y", {"x": 1.0, "y": 0.0}, None),
    ("n / (n - 3)", {"n": 3}, None),
    ("MOD(i, i - 5)", {"i": 5}, None),
    ("POWER(x, 0.5)", {"x": -1.0}, None),
    ("POWER(x, y)", {"x": 0.0, "y": -1.0}, None),
    ("POWER(x, y)", {"x": -8.0, "y": 0.5}, None),
    ("POWER(x, y)", {"x": 0.001, "y": 200.0}, 0.0),
    ("POWER(x, y)", {"x": -0.001, "y": 201.0}, 0.0),
    ("POWER(x, y)", {"x": 1000.0, "y": -1e300}, 0.0),
    ("POWER(x, y)", {"x": 0.5, "y": math.inf}, 0.0),
    ("POWER(x, y)", {"x": 1e200, "y": 2.0}, ERROR),
    ("POWER(x, 2)", {"x": 1e-200}, 0.0),
    ("POWER(x, -2)", {"x": 1e200}, 0.0),
    ("POWER(x, 2.5)", {"x": 1e-200}, 0.0),
    ("POWER(x, 2)", {"x": 1e200}, ERROR),
    ("POWER(10, x)", {"x": -400.0}, 0.0),
    ("POWER(0.1, x)", {"x": 400.0}, 0.0),
    ("EXP(x)", {"x": -1000.0}, 0.0),
    ("EXP(x)", {"x": -math.inf}, 0.0),
    ("EXP(x)", {"x": 1000.0}, ERROR),
    ("EXP(1000) + x", {"x": 1.0}, ERROR),
    ("SIN(x)", INFINITE, None),
    ("COS(-x)", INFINITE, None),
    ("TAN(x)", INFINITE, None),
    ("COT(x)", INFINITE, None),
    ("COT(x)", {"x": 0.0}, None),
    ("COT(n)", {"n": 0}, None),
    ("COT(0) + x", {"x": 1.0}, None),
    ("MOD(r, 2)", {"r": -2327.248779296875}, -1.248779296875),
    ("MOD(x, 1000)", {"x": 9007199254740991.0}, 991.0),
    ("ROUND(x)", {"x": 9007199254740991.0}, 9007199254740991.0),
    ("ROUND(x, 1)", {"x": 123456789012345.67}, 123456789012345.7),
    ("TRUNCATE(x, 2)", {"x": 12345678901234.567}, 12345678901234.56),
    ("ROUND(x, 2)", {"x": 2.675}, 2.68),
    ("CAST(611255759837069401.0 AS BIGINT) - i", {"i": 611255759837069400}, 1),
    ("CAST(-611255759837069401. AS BIGINT) + i", {"i": 611255759837069400}, -1),
    ("CAST(2.5 AS INTEGER) + n", {"n": 0}, 2),
    ("ATAN(x)", INFINITE, math.pi / 2),
    ("n + n", {"n": 2_000_000_000}, ERROR),
    ("n * n", {"n": 2_000_000_000}, ERROR),
    ("-n - 2", {"n": 2_147_483_647}, ERROR),
    ("-n", {"n": -2_147_483_648}, ERROR),
    ("ABS(i)", {"i": -9_223_372_036_854_775_808}, ERROR),
    ("i + 1", {"i": 9_223_372_036_854_775_807}, ERROR),
    ("SUM(i * 2)", {"i": 9_223_372_036_854_775_807}, ERROR),
    ("x * x", {"x": 1e200}, ERROR),
    ("x * x", {"x": 1e-200}, ERROR),
    ("x / y", {"x": 1e200, "y": 1e-200}, ERROR),
    ("x / y", {"x": 1e-200, "y": 1e200}, ERROR),
    ("x + x", {"x": 1.7e308}, ERROR),
    ("DEGREES(x)", {"x": 1e307}, ERROR),
    ("CAST(x AS INTEGER)", {"x": 2147483647.5}, None),
    ("CAST(x AS INTEGER)", {"x": 2147483647.25}, 2147483647),
    ("CAST(x AS BIGINT)", {"x": math.nan}, None),
    ("CAST(i AS SMALLINT)", {"i": 40_000}, None),
    ("CAST(x AS REAL)", {"x": 1e39}, None),
    ("CAST(x AS REAL)", {"x": -1e39}, None),
    ("CAST(x AS REAL)", {"x": 1e-60}, 0.0),
    ("CAST(x AS REAL)", {"x": math.inf}, math.inf),
    ("CAST(x AS REAL)", {"x": -0.0}, 0.0),
    ("CAST(t AS INTEGER)", {"t": "12"}, 12),
    ("CAST(t AS INTEGER)", {"t": "abc"}, ERROR),
    ("CAST(t AS SMALLINT)", {"t": "40000"}, ERROR),
    ("CAST(t AS DOUBLE PRECISION)", {"t": "1e999"}, ERROR),
    ("CAST(t AS REAL)", {"t": ""}, ERROR),
    ("CAST(t AS TIMESTAMP)", {"t": "2024-13-01"}, ERROR),
    ("CAST(t AS TIMESTAMP)", {"t": "soon"}, ERROR),
)


@pytest.mark.parametrize(("expression", "values", "expected"), NAMED)
def test_a_value_of_one_row_is_null_or_zero_or_an_error_that_names_the_expression(
    expression: str, values: dict[str, Any], expected: Any, database: Connection
) -> None:
    assert computed(database, expression, **values) == expected


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("SELECT objectId,\n flux_count * flux_count FROM cat.Object", (2**31 - 1,), "(line 2, column 2)"),
        (
            "SELECT 1 FROM cat.Object WHERE flux_count + 1 > 0",
            (2**31 - 1,),
            "flux_count + 1 (line 1, column 32)",
        ),
        ("SELECT EXP(flux_count) FROM cat.Object", (2**31 - 1,), "EXP(flux_count) (line 1, column 8)"),
        ("SELECT CAST(name AS INTEGER) FROM cat.Object", (1,), "CAST(name AS INTEGER) (line 1, column 8)"),
        (
            "SELECT q.a FROM (SELECT flux_count + 1 AS a, flux_count - 1 AS b FROM cat.Object) AS q",
            (2**31 - 1,),
            "flux_count + 1 (line 1, column 25) or flux_count - 1 (line 1, column 46)",
        ),
        (
            "SELECT n+1,n+2,n+3,n+4,n+5 FROM (SELECT flux_count AS n FROM cat.Object) AS q",
            (2**31 - 1,),
            "n + 3 (line 1, column 16) or 2 more",
        ),
    ],
)
def test_an_error_of_a_row_names_the_expressions_that_it_can_come_from(
    text: str, values: tuple[int], shown: str, database: Connection
) -> None:
    database.execute("UPDATE cat.\"Object\" SET name = 'x', flux_count = %s", values)
    with pytest.raises(QueryFailedError) as caught, database.transaction():
        fetch(database, to_postgres(parse(text), METADATA), max_rows=None)
    assert shown in str(caught.value)
    # It is not every expression of the query: those of another kind are left out.
    assert "objectId" not in str(caught.value)


def test_an_error_that_no_expression_causes_names_none() -> None:
    compiled = to_postgres(parse("SELECT flux_count + 1 FROM cat.Object"), METADATA)
    assert compiled.suspects("57014", "canceling statement") == ()
    assert compiled.suspects("22P02", "invalid input syntax") == ()
    assert compiled.suspects("22003", "integer out of range") == ("flux_count + 1 (line 1, column 8)",)


def quotient(one: float, other: float) -> Any:
    """Return what `/` gives, exactly rounded."""
    if other == 0 or math.isnan(other):
        return math.nan if math.isnan(other) or (math.isnan(one) and other) else None
    if not math.isfinite(one) or math.isinf(other):
        return math.nan if math.isinf(one) and math.isinf(other) else one / other
    return _rounded(Fraction(one) / Fraction(other))


def _rounded(exact: Fraction) -> Any:
    try:
        value = float(exact)
    except OverflowError:
        return ERROR
    return ERROR if exact and not value else value


def product(one: float, other: float) -> Any:
    """Return what `*` gives, exactly rounded."""
    if math.isfinite(one) and math.isfinite(other):
        return _rounded(Fraction(one) * Fraction(other))
    return one * other


def power(one: float, other: float) -> Any:
    """Return what POWER gives: no value, 0, or a number."""
    try:
        return math.pow(one, other)
    except ValueError:
        return None
    except OverflowError:
        return ERROR


def exponential(one: float, _other: float) -> Any:
    """Return what EXP gives."""
    try:
        return math.exp(one)
    except OverflowError:
        return ERROR


def of(function: Callable[[float], float], *, nan: Any = math.nan) -> Callable[[float, float], Any]:
    """Return what a function of mathematics gives, `None` where it has no value."""

    def value(one: float, _other: float) -> Any:
        if math.isnan(one):
            return nan
        try:
            return function(one)
        except ValueError:
            return None

    return value


def integer(bits: int) -> Callable[[float, float], Any]:
    """Return what CAST gives: the nearest integer, the even one of two."""

    def value(one: float, _other: float) -> Any:
        if not math.isfinite(one):
            return None
        nearest = round(Fraction(one))
        return nearest if -(2 ** (bits - 1)) <= nearest < 2 ** (bits - 1) else None

    return value


def single(one: float, _other: float) -> Any:
    """Return what CAST AS REAL gives."""
    if not math.isfinite(one):
        return one
    try:
        (found,) = struct.unpack("f", struct.pack("f", one))
    except OverflowError:
        return None
    # At the very end of the range Python rounds to infinity.
    return found if math.isfinite(found) else None


ORACLES: dict[str, Callable[[float, float], Any]] = {
    "x / y": quotient,
    "x * y": product,
    "POWER(x, y)": power,
    "EXP(x)": exponential,
    "LOG(x)": of(math.log),
    "LOG10(x)": of(math.log10),
    "SQRT(x)": of(math.sqrt),
    "ACOS(x)": of(math.acos, nan=None),
    "ASIN(x)": of(math.asin, nan=None),
    "SIN(x)": of(math.sin),
    "COS(x)": of(math.cos),
    "TAN(x)": of(math.tan),
    "CAST(x AS SMALLINT)": integer(16),
    "CAST(x AS INTEGER)": integer(32),
    "CAST(x AS BIGINT)": integer(64),
    "CAST(x AS REAL)": single,
}
NUMBERS = (
    st.floats()
    | st.floats(-2, 2)
    | st.integers(-400, 400).map(float)
    | st.sampled_from(
        (0.0, -0.0, 1.0, -1.0, 5e-324, 32767.5, -32768.5, 2147483647.5, 2.0**63, -(2.0**63), 1e-160)
    )
)


@given(expression=st.sampled_from(sorted(ORACLES)), x=NUMBERS, y=NUMBERS)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_value_of_a_row_is_that_of_python(
    expression: str, x: float, y: float, database: Connection
) -> None:
    # POWER(1, NaN) is 1 for both.
    assume(not (expression == "POWER(x, y)" and math.isnan(x + y)))
    wanted, found = ORACLES[expression](x, y), computed(database, expression, x=x, y=y)
    if isinstance(wanted, float) and isinstance(found, float):
        # A real comes with the digits that tell it from others.
        digits = 1e-6 if "REAL" in expression else 1e-14
        assert found == pytest.approx(wanted, rel=digits, abs=1e-320, nan_ok=True)
    else:
        assert found == wanted


@given(value=st.floats(-9e15, 9e15), places=st.integers(-3, 12), divisor=st.floats(1e-3, 1e6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rounding_uses_all_digits_of_a_double(
    value: float, places: int, divisor: float, database: Connection
) -> None:
    # What a double is in decimal is the shortest text that is read as the same double.
    exact, quantum = Decimal(repr(value)), Decimal(1).scaleb(-places)
    with localcontext(prec=400):
        for name, mode in (("ROUND", ROUND_HALF_UP), ("TRUNCATE", ROUND_DOWN)):
            wanted = float((exact / quantum).to_integral_value(mode) * quantum)
            assert computed(database, f"{name}(x, {places})", x=value) == wanted
        remainder = float(exact % Decimal(repr(divisor)))
    assert computed(database, "MOD(x, y)", x=value, y=divisor) == remainder


@given(
    first=st.integers(-(2**31), 2**31 - 1),
    second=st.integers(-(2**31), 2**31 - 1) | st.integers(-50_000, 50_000),
    large=st.integers(-(2**63), 2**63 - 1),
    sign=st.sampled_from("+-*/"),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_integers_of_a_row_are_computed_exactly_or_refused(
    first: int, second: int, large: int, sign: str, database: Connection
) -> None:
    for name, one, bits in (("n", first, 32), ("i", large, 64)):
        exact: int | None
        if sign == "/":
            exact = None if second == 0 else math.trunc(Fraction(one, second))
        else:
            exact = {"+": one + second, "-": one - second, "*": one * second}[sign]
        fits = exact is None or -(2 ** (bits - 1)) <= exact < 2 ** (bits - 1)
        # A literal is as wide as it has to be.
        text = f"{name} {sign} ({second})"
        if name == "n" and abs(second) >= 10**9:
            continue
        assert computed(database, text, **{name: one}) == (exact if fits else ERROR)
