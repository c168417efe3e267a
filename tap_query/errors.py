"""What can go wrong between a translated query and the database."""

from collections.abc import Sequence
from typing import Literal

from tapdb.errors import DatabaseNotReadyError, TapdbError, spelled

# What pg_sphere says of a polygon that only the rows made one.
_RADIUS = "radius must be not greater than 90 degrees"
_POLYGONS = ("a line segment overlaps or polygon too large", "more than two points needed")
_MOST_SUSPECTS = 3
_LONGEST_ID = 64
_HINTS = {
    "57014": "the query took longer than the time limit",
    "22012": "something is divided by zero",
    "2201E": "a logarithm needs a positive number",
    "2201F": "a power or root has no value there",
    "22003": "a number is out of range: CAST an operand to a wider type, or leave such rows out",
    "22P02": "a text in some row is not what CAST makes of it: leave such rows out",
    "22007": "a text in some row is no timestamp: leave such rows out",
    "22008": "a text in some row is no timestamp: leave such rows out",
    "0A000": "PostgreSQL can do a FULL JOIN only where columns have to be equal",
}


# Whose fault a code of PostgreSQL is (its appendix A), by code or class; the rest is the service's. Names and
# types were checked before: what 42 says now comes from the database and its rights.
_TIME = frozenset(
    {
        "57014",  # statement_timeout, or cancelled
    }
)
_USER = frozenset({"0A", "21", "22", "23", "54"})

Fault = Literal["user", "service", "time"]


class MissingTapSchemaError(DatabaseNotReadyError):
    """The database does not say what it publishes.

    Parameters
    ----------
    found
        What is there instead.
    """

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"TAP_SCHEMA does not say what the database publishes: {found}\n"
            "Fill tap_schema.tables and tap_schema.columns"
            + (f", or name Felis files with {felis}." if (felis := spelled("felis")) else ".")
        )


class TapSchemaIncompleteError(DatabaseNotReadyError):
    """TAP_SCHEMA comes here from elsewhere, and what is here may be a part of it.

    Parameters
    ----------
    found
        What is there.
    remedy
        What to wait for, or to do.
    """

    def __init__(self, found: str, remedy: str) -> None:
        self.found = found
        self.remedy = remedy
        super().__init__(f"TAP_SCHEMA is not here as a whole: {found}\n{remedy}")


class QueryFailedError(TapdbError):
    """The database could not finish a query that was translated without complaint.

    Parameters
    ----------
    message
        What the database said, one line.
    sqlstate
        Its five-character code, if it gave one.
    suspects
        Expressions of the query that it can have come from.

    Attributes
    ----------
    fault
        Who has to act: the ``user`` (values that cannot be computed), the ``service`` (rights, space,
        connections), or either of them, since ``time`` is up.
    """

    def __init__(self, message: str, sqlstate: str | None = None, suspects: Sequence[str] = ()) -> None:
        self.sqlstate = sqlstate
        self.fault: Fault = _fault(sqlstate or "")
        hint = _HINTS.get(sqlstate or "")
        if any(problem in message for problem in _POLYGONS):
            hint = "in some row a polygon has less than three vertices, crosses itself or is too large"
        elif _RADIUS in message:
            hint = "the radius of some row is larger: CONTAINS in a CIRCLE of it is NULL there"
        if any(problem in message for problem in (*_POLYGONS, _RADIUS)):
            # pgSphere has no code of its own for them.
            self.fault = "user"
        text = f"the query failed: {message}" + (f" ({hint})" if hint else "")
        if suspects:
            more = len(suspects) - _MOST_SUSPECTS
            text += (
                "; look at "
                + " or ".join(suspects[:_MOST_SUSPECTS])
                + (f" or {more} more" if more > 0 else "")
            )
        super().__init__(text)


class UploadError(TapdbError):
    """A table that a user brings cannot be used.

    Parameters
    ----------
    name
        Name of the upload, or of the parameter.
    problem
        What is wrong with it.
    remedy
        What to do instead; may be empty.
    """

    def __init__(self, name: str, problem: str, remedy: str = "") -> None:
        self.name = name
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"upload {name}: {problem}" + (f"; {remedy}" if remedy else ""))


class UploadTooLargeError(UploadError):
    """A table that a user brings is larger than the service takes."""


class UploadRefusedError(UploadError):
    """The service does not fetch a table from where the user says that it is."""


class UploadNotKeptError(TapdbError):
    """The service has no place for a table that a request brings.

    Parameters
    ----------
    what
        What it was to keep.
    reason
        What the operating system says.
    """

    def __init__(self, what: str, reason: str | None) -> None:
        self.what = what
        self.reason = reason
        super().__init__(
            f"the service cannot keep {what}: {reason}; send it again later, and tell its operator"
        )


class ResultTooLargeError(TapdbError):
    """A result has more bytes than its user may have.

    Parameters
    ----------
    limit
        How many bytes it may have.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"the result is larger than {limit:,} bytes and ends here; select fewer columns or rows"
        )


class TooManyRowsGainedError(TapdbError):
    """A query has gained more rows at once than its user may have.

    Parameters
    ----------
    limit
        How many rows that may be.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"the query has gained more than {limit:,} rows since its position; begin without a position, "
            "and query what has come meanwhile"
        )


class JobUnknownError(TapdbError):
    """There is no such asynchronous job, or it is another user's.

    Parameters
    ----------
    job_id
        Identifier that was given.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"there is no job {job_id[:_LONGEST_ID]!r}: it was deleted, has expired, or is somebody else's"
        )


class JobRefusedError(TapdbError):
    """A job cannot be changed as somebody wants, in the phase that it is in.

    Parameters
    ----------
    wanted
        What was to be done, such as ``run it``.
    phase
        Phase that the job is in.
    possible
        When it can be done.
    """

    def __init__(self, wanted: str, phase: str, possible: str) -> None:
        self.wanted = wanted
        self.phase = phase
        super().__init__(f"the job is {phase}: to {wanted} it has to be {possible}")


class SearchParameterError(TapdbError):
    """A parameter of a search without ADQL cannot be used.

    Parameters
    ----------
    parameter
        Its name.
    problem
        What was given, and what is wrong with it.
    remedy
        What to give instead.
    """

    exit_code = 2

    def __init__(self, parameter: str, problem: str, remedy: str) -> None:
        self.parameter = parameter
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{parameter}: {problem}; {remedy}")


class JobParameterError(TapdbError):
    """A parameter of an asynchronous job cannot be understood.

    Parameters
    ----------
    name
        Name of the parameter.
    value
        What was given.
    remedy
        What to give.
    """

    exit_code = 2

    def __init__(self, name: str, value: str, remedy: str) -> None:
        self.name = name
        self.value = value
        super().__init__(f"{name} is {value[:_LONGEST_ID]!r}; {remedy}")


class SnapshotParameterError(TapdbError):
    """A query cannot be answered as of the snapshot that its request names.

    Parameters
    ----------
    value
        What the request says.
    problem
        Why not.
    remedy
        What to send instead.
    name
        What says it: a parameter of HTTP or an option.
    """

    exit_code = 2

    def __init__(self, value: str, problem: str, remedy: str, name: str = "PPDB_SNAPSHOT") -> None:
        self.value = value
        self.problem = problem
        super().__init__(f"{name} is {value[:_LONGEST_ID]!r}: {problem}; {remedy}")


class TooManyJobsError(TapdbError):
    """So many jobs wait or run that no further one is taken.

    Parameters
    ----------
    active
        How many there are.
    whose
        Whose they are, such as ``you have``.
    """

    def __init__(self, active: int, whose: str) -> None:
        self.active = active
        super().__init__(
            f"{whose} {active} jobs that wait or run, as many as may; try again when one has ended"
        )


def _fault(sqlstate: str) -> Fault:
    if sqlstate in _TIME:
        return "time"
    return "user" if sqlstate[:2] in _USER else "service"
