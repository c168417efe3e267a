"""Rules of asynchronous jobs: phases, and what clients write of times and filters."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_query.errors import JobParameterError, JobRefusedError
from tap_query.jobs.job import (
    FINAL,
    TRANSITIONS,
    Event,
    Job,
    JobFilter,
    JobLimits,
    Phase,
    format_time,
    merged,
    parse_count,
    parse_time,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
# The arrows of figure 2 of UWS 1.1, of those phases that this service has; START twice for a lost worker.
ARROWS = {
    ("PENDING", "QUEUED"),
    ("QUEUED", "EXECUTING"),
    ("EXECUTING", "COMPLETED"),
    ("EXECUTING", "ERROR"),
    ("QUEUED", "ERROR"),
    ("PENDING", "ABORTED"),
    ("QUEUED", "ABORTED"),
    ("EXECUTING", "ABORTED"),
}
OURS = {("EXECUTING", "EXECUTING"), ("EXECUTING", "QUEUED")}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def job(phase: Phase) -> Job:
    return Job("0" * 32, None, phase, (), NOW, NOW, 0)


def test_phases_follow_each_other_as_the_standard_draws_it() -> None:
    ours = {(str(one), str(after)) for before, after in TRANSITIONS.values() for one in before}
    assert ours == ARROWS | OURS


@pytest.mark.parametrize(("event", "phase"), list(product(Event, Phase)))
def test_an_event_is_refused_in_every_other_phase(event: Event, phase: Phase) -> None:
    if phase in TRANSITIONS[event][0]:
        job(phase).require(event)
        return
    with pytest.raises(JobRefusedError, match=f"the job is {phase}: to .* it has to be"):
        job(phase).require(event)


def test_nothing_follows_a_final_phase() -> None:
    assert all(not before & FINAL for before, _ in TRANSITIONS.values())


@given(TEXTS)
def test_a_count_is_a_number_or_refused(text: str) -> None:
    if text.strip().isascii() and text.strip().isdigit():
        assert parse_count("N", text, "") == min(int(text), 2**31 - 1)
        return
    with pytest.raises(JobParameterError, match="N is "):
        parse_count("N", text, "give a number")


@pytest.mark.parametrize("digits", ["9" * 5000, "2147483648", "0" * 5000 + "2147483648"])
def test_a_number_that_postgresql_cannot_hold_is_the_largest(digits: str) -> None:
    assert parse_count("N", digits, "") == 2**31 - 1


@given(
    st.datetimes(
        min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds zones
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_a_time_comes_back_in_utc_to_the_millisecond(time: datetime) -> None:
    read = parse_time("T", time.isoformat())
    assert read == time
    assert abs(parse_time("T", format_time(time)) - time) < timedelta(milliseconds=1)
    assert format_time(time).endswith("Z")


def test_a_time_without_a_zone_is_utc() -> None:
    assert parse_time("T", "2026-11-30T12:00:00") == NOW


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-13-01", "0001-01-01T00:00:00+14:00", "2026-11-30T25:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(JobParameterError, match="give a time in UTC such as"):
        parse_time("DESTRUCTION", text)


@given(TEXTS)
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(JobParameterError):
        assert parse_time("T", text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("longest", "given_", "duration"),
    [(100, "50", 50), (100, "200", 100), (100, "0", 100), (0, "200", 200), (0, "0", 0)],
)
def test_a_client_runs_as_long_as_is_allowed(longest: int, given_: str, duration: int) -> None:
    assert JobLimits(longest_duration_s=longest).duration(given_) == duration


def test_a_client_keeps_a_job_as_long_as_is_allowed() -> None:
    limits = JobLimits(longest_lifetime_s=3600)
    assert limits.destruction("2026-11-30T12:30:00Z", NOW) == NOW + timedelta(minutes=30)
    assert limits.destruction("2999-01-01T00:00:00Z", NOW) == NOW + timedelta(hours=1)


@pytest.mark.parametrize(("text", "seconds"), [("5", 5), ("-1", 60), ("600", 60), ("0", 0)])
def test_a_request_waits_as_long_as_is_allowed(text: str, seconds: int) -> None:
    assert JobLimits(longest_wait_s=60).wait(text) == seconds


@pytest.mark.parametrize("text", ["-2", "1.5", "", "long"])
def test_a_wait_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(JobParameterError, match="WAIT is"):
        JobLimits().wait(text)


def test_a_filter_knows_all_phases_of_the_standard_in_any_case() -> None:
    assert JobFilter.parse([one.lower() for one in Phase], None, None).phases == frozenset(Phase)


@pytest.mark.parametrize(
    ("phases", "after", "last", "name"),
    [
        (["SLEEPING"], None, None, "PHASE"),
        ([], "yesterday", None, "AFTER"),
        ([], None, "0", "LAST"),
        ([], None, "all", "LAST"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused(
    phases: list[str], after: str | None, last: str | None, name: str
) -> None:
    with pytest.raises(JobParameterError, match=f"{name} is"):
        JobFilter.parse(phases, after, last)


def test_parameters_take_the_place_of_those_of_the_same_name() -> None:
    before = (("QUERY", "a"), ("UPLOAD", "t,u"), ("UPLOAD", "v,w"), ("LANG", "ADQL"))
    after = (("UPLOAD", "x,y"), ("MAXREC", "1"))
    assert merged(before, after) == (("QUERY", "a"), ("LANG", "ADQL"), ("UPLOAD", "x,y"), ("MAXREC", "1"))
