"""The SQL functions for times and numbers against astropy and Python itself."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from astropy.time import Time, TimeDelta
from astropy.utils.iers import LeapSeconds
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.plugins.view_fixtures import open_engine

_BEGIN_1972_NS = 63_072_010_000_000_000
_END_2099_NS = 4_102_444_800_000_000_000
_SECOND_NS = 1_000_000_000
_EPOCH = Time("1970-01-01T00:00:00", scale="tai")

_TIMES = sa.text(
    "SELECT tapdb.utc_mjd(ns) AS mjd, tapdb.utc_isot(ns) AS isot, tapdb.tai_minus_utc(ns) AS off "
    "FROM unnest(CAST(:times AS bigint[])) WITH ORDINALITY AS t(ns, place) ORDER BY place"
)
_FLOATS = sa.text(
    "SELECT tapdb.python_float(x) FROM unnest(CAST(:numbers AS double precision[])) "
    "WITH ORDINALITY AS t(x, place) ORDER BY place"
)


@pytest.fixture(scope="module")
def functions(migrated_template: str, clone_for_session: Any) -> Iterator[sa.Connection]:
    """Return a connection to a database that has tapdb's functions."""
    with open_engine(clone_for_session(migrated_template)) as engine, engine.connect() as connection:
        yield connection


def _leap_seconds() -> list[tuple[int, int]]:
    """Return each leap second since 1972: TAI nanoseconds when TAI - UTC became so many seconds."""
    table = LeapSeconds.auto_open()
    found = []
    for row in table:
        begin = datetime(int(row["year"]), int(row["month"]), 1, tzinfo=UTC)
        seconds = round(float(row["tai_utc"]))
        found.append(((int(begin.timestamp()) + seconds) * _SECOND_NS, seconds))
    return [one for one in found if one[0] > _BEGIN_1972_NS]


def _around_leap_seconds() -> list[int]:
    steps = (-86_401, -86_400, -3600, -1, 0, 1, 86_400)
    halves = (-1, 0, 1, 500_000_000)
    return [ns + step * _SECOND_NS + half for ns, _ in _leap_seconds() for step in steps for half in halves]


def _utc(times: list[int]) -> Any:
    """Return the times as astropy has them, exact to the nanosecond."""
    whole = [ns // _SECOND_NS for ns in times]
    rest = [ns % _SECOND_NS * 1e-9 for ns in times]
    return (_EPOCH + TimeDelta(whole, rest, format="sec", scale="tai")).utc


def _check(connection: sa.Connection, times: list[int]) -> None:
    utc = _utc(times)
    utc.precision = 6
    rows = connection.execute(_TIMES, {"times": times}).all()
    for ns, row, mjd, isot in zip(times, rows, utc.mjd, utc.isot, strict=True):
        assert abs(row.mjd - mjd) <= 2 * math.ulp(mjd), ns
        # Halves of a microsecond: astropy's two doubles are not exact there.
        if ns % 1000 != 500:
            assert row.isot == isot, ns


# ERFA doubts its leap seconds from five years after its release on.
@pytest.mark.filterwarnings("ignore:ERFA function:erfa.ErfaWarning")
@settings(max_examples=40)
@given(times=st.lists(st.integers(_BEGIN_1972_NS, _END_2099_NS), min_size=1, max_size=100))
def test_utc_is_that_of_astropy(functions: sa.Connection, times: list[int]) -> None:
    _check(functions, times)


def test_utc_is_that_of_astropy_before_in_and_after_each_leap_second(functions: sa.Connection) -> None:
    times = _around_leap_seconds()
    assert len(times) == 27 * 28
    _check(functions, times)


def test_a_leap_second_is_second_60(functions: sa.Connection) -> None:
    last = 1_483_228_836_250_000_000
    (row,) = functions.execute(_TIMES, {"times": [last]}).all()
    assert row.isot == "2016-12-31T23:59:60.250000"
    assert 57753.99998 < row.mjd < 57754.0


def test_the_leap_seconds_are_those_of_the_iers(functions: sa.Connection) -> None:
    moments = _leap_seconds()
    rows = functions.execute(_TIMES, {"times": [ns for ns, _ in moments]}).all()
    before = functions.execute(_TIMES, {"times": [ns - 1 for ns, _ in moments]}).all()
    assert [row.off for row in rows] == [seconds for _, seconds in moments]
    assert [row.off for row in before] == [seconds - 1 for _, seconds in moments]


def test_utc_is_not_tai(functions: sa.Connection) -> None:
    (row,) = functions.execute(_TIMES, {"times": [1_772_409_600_000_000_000]}).all()
    assert row.isot == "2026-03-01T23:59:23.000000"
    assert math.isclose((61101 - row.mjd) * 86_400, 37.0, abs_tol=1e-3)


def test_no_time_is_null_and_none_raises(functions: sa.Connection) -> None:
    extremes: list[int | None] = [None, -(2**63), -1, 0, 2**63 - 1]
    rows = functions.execute(_TIMES, {"times": extremes}).all()
    assert (rows[0].mjd, rows[0].isot) == (None, None)
    assert all(row.mjd is not None and row.isot for row in rows[1:])


def test_a_time_in_mjd_becomes_a_timestamp(functions: sa.Connection) -> None:
    mjd = 61101.25
    found = functions.scalar(sa.select(sa.func.tapdb.mjd_timestamp(mjd)))
    assert found == Time(mjd, format="mjd", scale="utc").to_datetime()


_EXACT = 2.0**53
_ANY_DOUBLE = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", bits.to_bytes(8, "little"))[0])
_NUMBERS = st.floats() | _ANY_DOUBLE | st.integers(-(2**60), 2**60).map(float)


@settings(max_examples=40)
@given(numbers=st.lists(_NUMBERS, min_size=1, max_size=100))
@example(
    numbers=[
        0.0,
        -0.0,
        30.0,
        1e15,
        1234567890123456.5,
        9007199254740991.0,
        1e-4,
        1e-5,
        0.00012345,
        5e-324,
        2.2250738585072014e-308,
    ]
)
@example(
    numbers=[
        1e16,
        123456789012345680.0,
        1.7976931348623157e308,
        1e22,
        1e23,
        1e100,
        math.inf,
        -math.inf,
        math.nan,
    ]
)
def test_a_number_is_written_as_python_writes_it(functions: sa.Connection, numbers: list[float]) -> None:
    found = functions.scalars(_FLOATS, {"numbers": numbers}).all()
    for number, text in zip(numbers, found, strict=True):
        # Beyond 2^53 a decimal can lie right between two doubles: Python writes 1e+23, PostgreSQL
        # 9.999999999999999e+22.
        if abs(number) > _EXACT and math.isfinite(number):
            assert float(text) == number
        else:
            assert text == repr(number)
