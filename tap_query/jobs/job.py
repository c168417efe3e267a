"""What an asynchronous job is, and which phase may follow which: pure rules of UWS 1.1."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from tap_query.errors import JobParameterError, JobRefusedError

RESULT = "result"
"""Name of the one result of a job (TAP 1.1 section 5.3)."""

JOB_ID = re.compile("[0-9a-f]{32}")
"""Form of an identifier: nothing else is looked for in the database or in folders."""

JobParameters = tuple[tuple[str, str], ...]
"""Pairs of name, in capitals, and value."""


_SECONDS_WANTED, _JOBS_WANTED = "give a number of seconds, 0 or more", "give a number of jobs, 1 or more"


class Phase(StrEnum):
    """Phases of execution that a client may ask for (UWS 1.1 section 2.1.3)."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"
    SUSPENDED = "SUSPENDED"
    ARCHIVED = "ARCHIVED"


FINAL = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED})
"""Phases after which nothing more comes."""


class Event(StrEnum):
    """What changes the phase of a job, in words for its errors."""

    RUN = "run"
    START = "start"
    REQUEUE = "put it back into the queue"
    COMPLETE = "complete"
    FAIL = "fail"
    ABORT = "abort"


TRANSITIONS: Mapping[Event, tuple[frozenset[Phase], Phase]] = {
    Event.RUN: (frozenset({Phase.PENDING}), Phase.QUEUED),
    # A job whose worker has died is EXECUTING when the next one begins it.
    Event.START: (frozenset({Phase.QUEUED, Phase.EXECUTING}), Phase.EXECUTING),
    Event.REQUEUE: (frozenset({Phase.EXECUTING}), Phase.QUEUED),
    Event.COMPLETE: (frozenset({Phase.EXECUTING}), Phase.COMPLETED),
    Event.FAIL: (frozenset({Phase.QUEUED, Phase.EXECUTING}), Phase.ERROR),
    Event.ABORT: (frozenset({Phase.PENDING, Phase.QUEUED, Phase.EXECUTING}), Phase.ABORTED),
}
"""For each event the phases in which it can come, and the phase that follows."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job has written.

    Attributes
    ----------
    mime
        Its type, for clients.
    rows
        How many rows it has; `None` if nobody counted.
    size
        Bytes.
    overflow
        Whether there were more rows than may be written.
    headers
        Headers with which the result is sent, such as where its record is.
    """

    mime: str
    rows: int | None
    size: int
    overflow: bool
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """An asynchronous job, as the database has it.

    Attributes
    ----------
    job_id
        Identifier, which nobody can guess.
    owner
        User who made it; `None` if nobody has logged in.
    phase
        Phase of execution.
    parameters
        What is to be done, in order.
    created_at, started_at, ended_at
        When it was made, began the last time, and ended.
    destruction
        When it is deleted, with its result.
    execution_duration
        Seconds that it may run; 0 for no limit.
    run_id
        ``RUNID`` of the client.
    quote
        When it is expected to be done.
    attempts
        How many times a worker began it.
    queue_job
        Number of the job in the queue.
    error
        What went wrong.
    error_is_transient
        Whether the same job may succeed later.
    result
        What it has written.
    """

    job_id: str
    owner: str | None
    phase: Phase
    parameters: JobParameters
    created_at: datetime
    destruction: datetime
    execution_duration: int
    run_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    quote: datetime | None = None
    attempts: int = 0
    queue_job: int | None = None
    error: str | None = None
    error_is_transient: bool | None = None
    result: JobResult | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the job of a row of ``tapdb.uws_job``."""
        pairs = tuple((name, value) for name, value in row["parameters"])
        result = None if row["result"] is None else JobResult(**row["result"])
        kept = {name: row[name] for name in cls.__slots__ if name in row}
        return cls(**kept | {"phase": Phase(row["phase"]), "parameters": pairs, "result": result})

    def values(self, name: str) -> tuple[str, ...]:
        """Return all values of a parameter."""
        return tuple(value for one, value in self.parameters if one == name)

    def require(self, event: Event) -> None:
        """Check that something can happen to the job in its phase.

        Raises
        ------
        JobRefusedError
            Raised if not.
        """
        before, _ = TRANSITIONS[event]
        if self.phase not in before:
            raise JobRefusedError(event, self.phase, " or ".join(sorted(before)))


@dataclass(frozen=True, slots=True)
class JobLimits:
    """How long jobs may run and stay.

    Parameters
    ----------
    duration_s
        Seconds that a job may run if its client says nothing.
    longest_duration_s
        Most seconds that a client may ask for; 0 for no limit.
    lifetime_s
        Seconds after which a job is deleted if its client says nothing.
    longest_lifetime_s
        Most seconds that a client may ask for.
    longest_wait_s
        Most seconds that a request waits for a job.
    """

    duration_s: int = 3600
    longest_duration_s: int = 24 * 3600
    lifetime_s: int = 7 * 24 * 3600
    longest_lifetime_s: int = 30 * 24 * 3600
    longest_wait_s: int = 60

    def duration(self, text: str) -> int:
        """Return the seconds that a job may run for what a client wrote, the nearest that is allowed.

        Raises
        ------
        JobParameterError
            Raised if the text is not a number of seconds.
        """
        wanted = parse_count("EXECUTIONDURATION", text, _SECONDS_WANTED)
        most = self.longest_duration_s
        # 0 is without limit (UWS 1.1 section 2.2.1.1).
        return min(wanted or most, most) if most else wanted

    def destruction(self, text: str, now: datetime) -> datetime:
        """Return when a job is deleted for what a client wrote, the nearest time that is allowed.

        Raises
        ------
        JobParameterError
            Raised if the text is not a time.
        """
        latest = now + timedelta(seconds=self.longest_lifetime_s)
        return min(parse_time("DESTRUCTION", text), latest)

    def wait(self, text: str) -> int:
        """Return the seconds that a request waits for what a client wrote; negative is as long as allowed.

        Raises
        ------
        JobParameterError
            Raised if the text is not a number of seconds.
        """
        if text.strip() == "-1":
            return self.longest_wait_s
        return min(parse_count("WAIT", text, _SECONDS_WANTED), self.longest_wait_s)


@dataclass(frozen=True, slots=True)
class JobQuota:
    """What a user may have of the workers.

    Parameters
    ----------
    at_once
        Jobs of the user that run at once; any number if not given.
    max_bytes
        Bytes of a result; as the worker's settings say if not given.
    """

    at_once: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a client wants to see (UWS 1.1 section 2.2.2.1).

    Parameters
    ----------
    phases
        Phases to see; all but archived ones if none are named.
    after
        Jobs made after this time only.
    last
        So many jobs at most, those made last.
    """

    phases: frozenset[Phase] = frozenset()
    after: datetime | None = None
    last: int | None = None

    @classmethod
    def parse(cls, phases: Iterable[str], after: str | None, last: str | None) -> Self:
        """Return the filter for what a client wrote.

        Raises
        ------
        JobParameterError
            Raised if one of the texts cannot be understood.
        """
        wanted = frozenset(parse_phase(one) for one in phases)
        number = None if last is None else parse_count("LAST", last, _JOBS_WANTED)
        if number == 0:
            raise JobParameterError("LAST", last or "", _JOBS_WANTED)
        return cls(wanted, None if after is None else parse_time("AFTER", after), number)


def parse_phase(text: str) -> Phase:
    """Return a phase from its name.

    Raises
    ------
    JobParameterError
        Raised if there is no such phase.
    """
    try:
        return Phase(text.strip().upper())
    except ValueError:
        raise JobParameterError("PHASE", text, f"phases are {', '.join(Phase)}") from None


_LARGEST = 2**31 - 1


def parse_count(name: str, text: str, remedy: str) -> int:
    """Return a whole number, 0 or more; one that is too large for PostgreSQL's integer is the largest there.

    Raises
    ------
    JobParameterError
        Raised if the text is something else.
    """
    stripped = text.strip()
    if not (stripped.isascii() and stripped.isdigit()):
        raise JobParameterError(name, text, remedy)
    # Python refuses to read numbers of thousands of digits.
    return min(int(stripped.lstrip("0")[: len(str(_LARGEST)) + 1] or "0"), _LARGEST)


def parse_time(name: str, text: str) -> datetime:
    """Return a time from DALI's form of ISO 8601; one without a time zone is UTC.

    Raises
    ------
    JobParameterError
        Raised if the text is no time.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise JobParameterError(name, text, "give a time in UTC such as 2026-11-30T12:00:00Z") from None


def format_time(time: datetime) -> str:
    """Return a time as clients read it, in UTC, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def merged(parameters: JobParameters, more: JobParameters) -> JobParameters:
    """Return parameters with others in the place of those of the same name."""
    names = {name for name, _ in more}
    return (*(pair for pair in parameters if pair[0] not in names), *more)


def with_parameters(job: Job, more: JobParameters) -> Job:
    """Return a job with other parameters.

    Raises
    ------
    JobRefusedError
        Raised if it is not ``PENDING``: what runs already would not be what the document says.
    """
    if job.phase is not Phase.PENDING:
        raise JobRefusedError("change its parameters", job.phase, Phase.PENDING)
    return replace(job, parameters=merged(job.parameters, more))
