"""What PostgreSQL said when it refused a statement, as one of our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from tapdb.errors import TapdbError

__all__ = [
    "DatabaseRefusedError",
    "ObjectMissingError",
    "RightRefusedError",
    "is_right_refused",
    "notes_of",
    "refusals_are_ours",
]


class DatabaseRefusedError(TapdbError):
    """PostgreSQL refused a statement, for a reason that has no error of its own; the transaction is undone.

    Parameters
    ----------
    reason
        What PostgreSQL said, with its detail and hint.
    during
        What was to be done.
    """

    remedy = "Nothing was changed."

    def __init__(self, reason: str, during: str) -> None:
        self.reason = reason
        self.during = during
        super().__init__(f"the database refused{during and ' ' + during}: {reason}\n{self.remedy}")


class RightRefusedError(DatabaseRefusedError):
    """The current user lacks a right that nobody checked before.

    Parameters
    ----------
    reason, during
        As for `DatabaseRefusedError`.
    """

    remedy = (
        "The user lacks a right. Members of tapdb_reader may read what is published, members of tapdb_owner "
        "may change what tapdb has made: a superuser runs GRANT tapdb_reader TO ... or GRANT tapdb_owner TO "
        "... All else is granted by its owner. Nothing was changed."
    )


class ObjectMissingError(DatabaseRefusedError):
    """A table, schema or function that a statement names is not there.

    Parameters
    ----------
    reason, during
        As for `DatabaseRefusedError`.
    """

    remedy = (
        "Connect to a database that tapdb has migrated, or migrate this one: tapdb migrate upgrade. "
        "Nothing was changed."
    )


_BY_SQLSTATE: dict[str, type[DatabaseRefusedError]] = {
    "42501": RightRefusedError,
    "42P01": ObjectMissingError,
    "3F000": ObjectMissingError,
    "42883": ObjectMissingError,
}


@contextmanager
def refusals_are_ours() -> Iterator[None]:
    """Turn errors of the database into errors of ours, without the SQL that they would carry along.

    Raises
    ------
    DatabaseRefusedError
        Raised for everything that the database refuses inside of the ``with`` block.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _refusal(error.orig, error) from error
    except psycopg.Error as error:
        raise _refusal(error, error) from error


def is_right_refused(error: BaseException) -> bool:
    """Return whether an error of SQLAlchemy or the driver says that the user lacks a right."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return isinstance(cause, psycopg.errors.InsufficientPrivilege)


def notes_of(error: BaseException) -> str:
    """Return the notes of an exception: what was being done when it was raised."""
    return "; ".join(getattr(error, "__notes__", ()))


def _refusal(cause: BaseException | None, error: Exception) -> DatabaseRefusedError:
    if not isinstance(cause, psycopg.Error):
        return DatabaseRefusedError(str(cause), notes_of(error))
    said = cause.diag
    parts = (said.message_primary or str(cause), said.message_detail, said.message_hint)
    kind = _BY_SQLSTATE.get(cause.sqlstate or "", DatabaseRefusedError)
    return kind("\n".join(part for part in parts if part), notes_of(error))
