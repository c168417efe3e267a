"""Times in query expressions against Butler's."""

from __future__ import annotations

import datetime as dt
import re
import warnings

import erfa  # type: ignore[import-untyped]
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from lsst.daf.butler.queries.expressions.parser import TimeLiteral, parse_expression
from lsst.daf.butler.time_utils import TimeConverter

from obscore_view.where.time import LEAP_SECONDS, as_tai_ns, parse_time_tai_ns, utc_of_tai_ns
from tapdb.sources import read_current


@given(
    ns=st.integers(0, TimeConverter().max_nsec - 1),
    form=st.sampled_from(["iso", "isot", "yday", "mjd", "unix_tai"]),
    scale=st.sampled_from(["", "/utc", "/tai", "/tt"]),
    prefixed=st.booleans(),
)
def test_a_time_is_the_nanosecond_that_butler_takes_it_for(
    ns: int, form: str, scale: str, *, prefixed: bool
) -> None:
    with warnings.catch_warnings(action="ignore"):
        time = TimeConverter().nsec_to_astropy(ns)
        time.precision = 9
        value = time.to_value(form)
        value = value if isinstance(value, str) else f"{value:.9f}"
        text = f"{form}/{value}{scale}" if prefixed or form == "unix_tai" else f"{value}{scale}"
        literal = parse_expression(f"T'{text}'")
        assert isinstance(literal, TimeLiteral)
        theirs = TimeConverter().astropy_to_nsec(literal.value)
    assert parse_time_tai_ns(text) == theirs


@given(ns=st.integers(100_000_000_000_000_000, 4_000_000_000_000_000_000))
def test_nanoseconds_are_the_utc_that_butler_takes_them_for(ns: int) -> None:
    with warnings.catch_warnings(action="ignore"):
        theirs = TimeConverter().nsec_to_astropy(ns).utc.to_datetime()
    assert abs(utc_of_tai_ns(ns) - theirs) <= dt.timedelta(microseconds=1)


def test_dates_are_utc_unless_they_say_otherwise() -> None:
    midnight = 1_775_001_637_000_000_000
    assert as_tai_ns(dt.date(2026, 4, 1)) == midnight
    assert as_tai_ns(dt.datetime.fromisoformat("2026-04-01")) == midnight
    assert as_tai_ns(dt.datetime.fromisoformat("2026-04-01T02:00+02:00")) == midnight
    assert as_tai_ns(Time("2026-04-01", scale="utc")) == midnight
    assert parse_time_tai_ns("2026-04-01") == midnight
    assert parse_time_tai_ns("2026-04-01/tai") == midnight - 37_000_000_000
    assert parse_time_tai_ns("2026-04-01 00:00:00+00:00") == midnight


def test_times_are_cut_to_what_butler_can_store() -> None:
    assert parse_time_tai_ns("1900-01-01") == 0
    assert parse_time_tai_ns("2200-01-01") == TimeConverter().max_nsec


def test_leap_seconds_are_those_of_the_iers_and_of_the_sql_function() -> None:
    found = {f"{one['year']}-{one['month']:02}-01": int(one["tai_utc"]) for one in erfa.leap_seconds.get()}
    iers = tuple(day for day, offset in found.items() if offset > 10)
    assert iers == LEAP_SECONDS
    text = read_current("functions/tapdb.tai_minus_utc").create
    in_sql = [(int(ns), int(offset)) for ns, offset in re.findall(r">= (\d+) THEN (\d+)", text)]
    ours = [(as_tai_ns(dt.date.fromisoformat(day)), found[day]) for day in LEAP_SECONDS]
    assert in_sql == ours[::-1]


@pytest.mark.parametrize(
    "text",
    ["2016-12-31T23:59:60.5", "2016-12-31 23:59:60", "1970-06-01", "1971-12-31T23:59:59.9", "jd/2461000.5"],
)
def test_times_that_astropy_reads_are_those_that_butler_takes_them_for(text: str) -> None:
    literal = parse_expression(f"T'{text}'")
    assert isinstance(literal, TimeLiteral)
    assert parse_time_tai_ns(text) == TimeConverter().astropy_to_nsec(literal.value)


@pytest.mark.parametrize(
    "text", ["2025-02-30", "2025-13-01", "2025-01-01T25:00", "iso/2025-01-01T00:00", "x/2025-01-01"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time|is known"):
        parse_time_tai_ns(text)
