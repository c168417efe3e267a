"""Values in format strings, written by PostgreSQL as Python's own format() writes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from obscore_view.config.template import parse_template
from obscore_view.errors import MappingError
from obscore_view.select.text import template_text
from tests.plugins.view_fixtures import open_engine

_FIXED = sa.text(
    "SELECT tapdb.python_fixed(x, p) FROM "
    "unnest(CAST(:numbers AS double precision[]), CAST(:places AS integer[])) "
    "WITH ORDINALITY AS t(x, p, place) ORDER BY place"
)
_HALVES = [0.125, 2.675, -0.0004, 0.5, 1.5, 2.5, -0.5, 1.005, 0.375, 1e15 + 0.5, 0.045, 8.5, 1e22, 1e23]
_EXTREMES = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 2.0**53, 2.0**63]
_NO_NUMBERS = [math.inf, -math.inf, math.nan]
# An odd number of halves of a power of two lies right between two decimals, one last bit off beside it.
_TIES = st.builds(
    lambda odd, power, off: (
        math.nextafter((2 * odd + 1) / 2.0**power, off * math.inf) if off else (2 * odd + 1) / 2.0**power
    ),
    st.integers(-(2**40), 2**40),
    st.integers(1, 16),
    st.sampled_from([-1, 0, 0, 1]),
)
_DECIMALS = st.builds(
    lambda whole, places: whole / 10.0**places, st.integers(-(10**12), 10**12), st.integers(0, 16)
)
_DOUBLES = st.floats() | _TIES | _DECIMALS | st.sampled_from(_HALVES + _EXTREMES + _NO_NUMBERS)


@pytest.fixture(scope="module")
def functions(migrated_template: str, clone_for_session: Any) -> Iterator[sa.Connection]:
    """Return a connection to a database that has tapdb's functions."""
    with open_engine(clone_for_session(migrated_template)) as engine, engine.connect() as connection:
        yield connection


@settings(max_examples=60)
@given(pairs=st.lists(st.tuples(_DOUBLES, st.integers(0, 15)), min_size=1, max_size=100))
@example(pairs=[(number, places) for number in _HALVES + _EXTREMES + _NO_NUMBERS for places in range(16)])
@example(pairs=[(math.ldexp(1 + bit / 2, power), 15) for power in range(-1074, 1023, 7) for bit in (0, 1)])
@example(pairs=[(0.1, 60), (5e-324, 100), (math.pi, 60), (1e300, 30)])
def test_decimals_are_those_of_python(functions: sa.Connection, pairs: list[tuple[float, int]]) -> None:
    numbers, places = zip(*pairs, strict=True)
    found = functions.scalars(_FIXED, {"numbers": list(numbers), "places": list(places)}).all()
    assert found == [format(number, f".{count}f") for number, count in pairs]


@pytest.mark.parametrize(
    ("number", "spec", "text"), [(0.125, ".2f", "0.12"), (2.675, ".2f", "2.67"), (-0.0004, ".2f", "-0.00")]
)
def test_half_a_unit_goes_to_the_even_digit_of_the_exact_value(
    functions: sa.Connection, number: float, spec: str, text: str
) -> None:
    assert _written(functions, "{calib_level:" + spec + "}", sa.Double(), [number]) == [text]


_FLOAT_SPECS = [
    ":f",
    ":.0f",
    ":.2f",
    ":8.2f",
    ":08.2f",
    ":<9.3f",
    ":*>12.1f",
    ":-.1f",
    ":012f",
    ":_<07.1f",
    "!s",
    "!s:>24",
]
_INT_SPECS = [
    "",
    ":d",
    ":5d",
    ":05d",
    ":05",
    ":<6",
    ":>6",
    ":x>06d",
    ":.2f",
    ":08.1f",
    "!s:>6",
    "!s:06",
    "!s:.2",
]
_BOOL_SPECS = ["", "!s", "!s:>7", ":d", ":5", ":02d", ":.1f"]
_TEXT_SPECS = ["", ":s", ":8", ":>8", ":<8s", ":08", ":.3", ":*>8.2s", "!s", "!s:>6"]


@settings(max_examples=15)
@given(data=st.data())
def test_every_format_of_every_type_is_that_of_python(functions: sa.Connection, data: st.DataObject) -> None:
    kinds: list[tuple[sa.types.TypeEngine[Any], list[str], st.SearchStrategy[Any]]] = [
        (
            sa.Double(),
            _FLOAT_SPECS,
            _DOUBLES.filter(lambda one: not math.isfinite(one) or abs(one) < 2.0**53),
        ),
        (sa.BigInteger(), _INT_SPECS, st.integers(-(2**63), 2**63 - 1) | st.integers(-99, 99)),
        (sa.Boolean(), _BOOL_SPECS, st.booleans()),
        (sa.Text(), _TEXT_SPECS, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    ]
    for kind, specs, values in kinds:
        drawn = data.draw(st.lists(values, min_size=1, max_size=10))
        for spec in specs:
            template = "<{calib_level" + spec + "}>"
            assert _written(functions, template, kind, drawn) == [
                template.format(calib_level=one) for one in drawn
            ]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [("", sa.Double()), ("!s:>6", sa.Double()), ("!s:<6", sa.BigInteger()), ("!s:.2", sa.Text())],
)
def test_what_is_null_is_formatted_as_none(
    functions: sa.Connection, spec: str, kind: sa.types.TypeEngine[Any]
) -> None:
    reference = "{records[visit].x" + spec + "}"
    relations = _Relations(kind)
    text = template_text(parse_template(reference), cast("Any", relations), {})
    assert text is not None
    assert functions.scalar(sa.select(text)) == reference.replace("records[visit].x", "").format(None)


@pytest.mark.parametrize("spec", [":e", ":.3", ":+.2f", ":,.2f", ":^9.1f", ":#.0f", ":%", ":=9.1f"])
def test_a_format_that_sql_cannot_write_is_refused(spec: str) -> None:
    with pytest.raises(MappingError, match="cannot be written in SQL"):
        template_text(
            parse_template("{calib_level" + spec + "}"),
            cast("Any", None),
            {"calib_level": sa.column("x", sa.Double())},
        )


class _Relations:
    """Relations of datasets with a visit in whose record all is NULL."""

    def __init__(self, kind: sa.types.TypeEngine[Any]) -> None:
        self._kind = kind

    def record(self, element: str, path: tuple[str, ...]) -> sa.ColumnElement[Any]:
        assert (element, path) == ("visit", ("x",))
        return sa.cast(sa.null(), self._kind)


def _written(
    connection: sa.Connection, template: str, kind: sa.types.TypeEngine[Any], values: Sequence[Any]
) -> list[str]:
    given = sa.func.unnest(sa.cast(sa.literal(list(values), sa.ARRAY(kind)), sa.ARRAY(kind)))
    rows = given.table_valued(sa.column("x", kind), with_ordinality="place", name="t").render_derived()
    text = template_text(parse_template(template), cast("Any", None), {"calib_level": rows.c.x})
    assert text is not None
    return list(connection.scalars(sa.select(text).order_by(rows.c.place)))
