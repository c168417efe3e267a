"""What can go wrong between a request and its answer, and the HTTP status of each error."""

from collections.abc import Callable, Mapping

from tap_query.errors import QueryFailedError
from tapdb.errors import TapdbError

ErrorForm = Callable[[str, int], tuple[bytes, int]]
"""Makes the document of an error, and the status with which it is sent, of its message and status."""

ERROR_FORM = "tapdb.error_form"
"""Name in the scope of a request of the `ErrorForm` of its protocol, where that is its own."""


RETRY_HEADERS = {"Retry-After": "10"}
"""Headers of an answer with status 503 whose error does not say itself when to come again."""


class RequestError(TapdbError):
    """A request cannot be answered.

    Attributes
    ----------
    status
        HTTP status of the answer.
    """

    status = 400

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return {}


class ParameterError(RequestError):
    """A parameter of a request cannot be used.

    Parameters
    ----------
    parameter
        Its name.
    problem
        What is wrong with it.
    remedy
        What to send instead.
    """

    def __init__(self, parameter: str, problem: str, remedy: str) -> None:
        self.parameter = parameter
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{parameter}: {problem}; {remedy}")


class ResourceUnknownError(RequestError):
    """The service has nothing of that name.

    Parameters
    ----------
    name
        What was requested.
    remedy
        What to request instead.
    """

    status = 404

    def __init__(self, name: str, remedy: str) -> None:
        self.name = name
        super().__init__(f"there is no {name}; {remedy}")


class UnauthenticatedError(RequestError):
    """The service wants to know who sends the request.

    Parameters
    ----------
    problem
        What is wrong with what the request says of it; never what it says.
    remedy
        What to send instead.
    """

    status = 401

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"{problem}; {remedy}")


class TokensUnreadableError(RequestError):
    """The service cannot read at present who has which token: nobody is let in who may have been removed.

    Parameters
    ----------
    reason
        Where the file is and what is wrong with it, for the log alone.
    """

    status = 503

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            "the service cannot read at present who has which token; send the request again later, "
            "or tell its operator"
        )


class BusyError(RequestError):
    """More queries wait than the service lets wait, or one has waited too long.

    Parameters
    ----------
    problem
        Which limit is reached.
    retry_s
        When to send the query again, in seconds.
    """

    status = 503

    def __init__(self, problem: str, retry_s: int) -> None:
        self.problem = problem
        self.retry_s = retry_s
        super().__init__(f"the service is busy: {problem}; send the query again after {retry_s} seconds")

    @property
    def headers(self) -> Mapping[str, str]:
        """When to come back."""
        return {"Retry-After": str(self.retry_s)}


class PublishedMissingError(RequestError):
    """The database lacks a table or column that TAP_SCHEMA publishes.

    Parameters
    ----------
    problem
        What the database says.
    """

    status = 503

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"the database lacks something that TAP_SCHEMA publishes: {problem}; leave it out, or tell the "
            "operator to publish what there is"
        )


class RequestTooLargeError(RequestError):
    """A request is larger than the service accepts.

    Parameters
    ----------
    what
        What is too large.
    limit
        How large it may be, in bytes.
    """

    status = 413

    def __init__(self, what: str, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{what} is larger than {limit:,} bytes; send less, or ask the operator for more")


class LinkRefusedError(RequestError):
    """A link to a file is not one that the service has signed, or has expired.

    Parameters
    ----------
    problem
        What is wrong with it.
    """

    status = 403

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"{problem}; take a new link from /datalink/links")


class FileRefusedError(RequestError):
    """A file is not where files of its repository may lie.

    Parameters
    ----------
    problem
        What is wrong with its place; never the place itself.
    """

    status = 403

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the service does not give away this file: {problem}; tell its operator")


class FileGoneError(RequestError):
    """A dataset has no file any more, or its file is not where the datastore says.

    Parameters
    ----------
    what
        The dataset.
    problem
        What was found instead.
    """

    status = 410

    def __init__(self, what: str, problem: str) -> None:
        self.problem = problem
        super().__init__(f"{what} {problem}; /datalink/links says what else there is of it")


class RangeUnsatisfiableError(RequestError):
    """No byte of a file is in the ranges that are wanted (RFC 9110 section 15.5.17).

    Parameters
    ----------
    size
        Bytes of the file.
    """

    status = 416

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(
            f"the file has {size} bytes, none of them in these ranges; ask for others, or for all"
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """How large the file is."""
        return {"Content-Range": f"bytes */{self.size}", "Accept-Ranges": "bytes"}


class ComparisonTooLargeError(RequestError):
    """A result is too large to be compared with another one over HTTP.

    Parameters
    ----------
    rows
        How many rows it has.
    most
        How many it may have.
    """

    def __init__(self, rows: int, most: int) -> None:
        self.rows = rows
        super().__init__(
            f"the result has {rows:,} rows, and the service compares {most:,} at most; use tapdb replay diff"
        )


class LakeUnavailableError(RequestError):
    """The lake of the service cannot be opened."""

    status = 503

    def __init__(self) -> None:
        super().__init__("the lake cannot be opened now; send the request again later, or to /tap/sync")


class ClientGoneError(RequestError):
    """The client does not take its answer; its query was cancelled.

    Parameters
    ----------
    what
        What the client has done.
    """

    status = 499

    def __init__(self, what: str = "has closed the connection") -> None:
        super().__init__(f"the client {what}")


# Connections that are lost, of which some have no code, and a server that stops or starts.
_LOST = ("08", "57P")
# By name: an error of any package below, without an import of it. What is not here is the service's fault.
_STATUSES = {
    "AdqlError": 400,
    "UnknownFormatError": 400,
    "ValueWriteError": 400,
    "ValueReadError": 400,
    "ResultTooLargeError": 400,
    "UploadTooLargeError": 413,
    "UploadError": 400,
    "UploadNotKeptError": 503,
    "SearchParameterError": 400,
    "SnapshotParameterError": 400,
    "SnapshotTimeError": 400,
    "SnapshotUnknownError": 404,
    "LakeAnswerError": 400,
    "StoredQueryUnknownError": 404,
    "ReplayRecordError": 400,
    "UploadChangedError": 400,
    "JobParameterError": 400,
    "JobRefusedError": 403,
    "NotReleasedError": 403,
    "QueryNotWatchedError": 400,
    "PositionError": 400,
    "JournalLostError": 410,
    "TooManyRowsGainedError": 400,
    "StandbyNotWatchedError": 503,
    "JobUnknownError": 404,
    "TooManyJobsError": 503,
    "DatabaseUnavailableError": 503,
    "DatabaseNotReadyError": 503,
    "RightsDifferError": 503,
    "VersionsIncompleteError": 503,
}


def status_of(error: TapdbError) -> int:
    """Return the HTTP status of an error: 4xx where the request has to change, 5xx where the service has."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, QueryFailedError):
        if error.fault != "service":
            return 400
        return 503 if (error.sqlstate or _LOST[0]).startswith(_LOST) else 500
    names = (one.__name__ for one in type(error).__mro__)
    return next((_STATUSES[name] for name in names if name in _STATUSES), 500)
