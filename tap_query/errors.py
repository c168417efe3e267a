"""What can go wrong between a translated query and the database."""

from collections.abc import Sequence
from typing import Literal

from tapdb.errors import DatabaseNotReadyError, TapdbError, spelled

# What pg_sphere says of a polygon that only the rows made one.
_RADIUS = "radius must be not greater than 90 degrees"
_POLYGONS = ("a line segment overlaps or polygon too large", "more than two points needed")
_MOST_SUSPECTS = 3
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
        self.fault = _fault(sqlstate or "")
        hint = _HINTS.get(sqlstate or "")
        if any(problem in message for problem in _POLYGONS):
            hint = "in some row a polygon has less than three vertices, crosses itself or is too large"
        elif _RADIUS in message:
            hint = "the radius of some row is larger: CONTAINS in a CIRCLE of it is NULL there"
        text = f"the query failed: {message}" + (f" ({hint})" if hint else "")
        if suspects:
            more = len(suspects) - _MOST_SUSPECTS
            text += (
                "; look at "
                + " or ".join(suspects[:_MOST_SUSPECTS])
                + (f" or {more} more" if more > 0 else "")
            )
        super().__init__(text)


def _fault(sqlstate: str) -> Fault:
    if sqlstate in _TIME:
        return "time"
    return "user" if sqlstate[:2] in _USER else "service"
