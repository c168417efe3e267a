"""What PostgreSQL said when it refused a statement, as one of our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from tapdb.errors import TapdbError

__all__ = ["DatabaseRefusedError", "notes_of", "refusals_are_ours"]


class DatabaseRefusedError(TapdbError):
    """PostgreSQL refused a statement, for a reason that has no error of its own; the transaction is undone.

    Parameters
    ----------
    reason
        What PostgreSQL said, with its detail and hint.
    during
        What was to be done.
    """

    def __init__(self, reason: str, during: str) -> None:
        self.reason = reason
        self.during = during
        super().__init__(f"the database refused{during and ' ' + during}: {reason}\nNothing was changed.")


@contextmanager
def refusals_are_ours() -> Iterator[None]:
    """Turn errors of the database into errors of ours, without the SQL that they would carry along.

    Raises
    ------
    DatabaseRefusedError
        Raised for whatever the database refuses inside of the ``with`` block.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise DatabaseRefusedError(_reason(error), notes_of(error)) from error


def notes_of(error: BaseException) -> str:
    """Return the notes of an exception: what was being done when it was raised."""
    return "; ".join(getattr(error, "__notes__", ()))


def _reason(error: sa.exc.DBAPIError) -> str:
    if not isinstance(error.orig, psycopg.Error):
        return str(error.orig)
    said = error.orig.diag
    parts = (said.message_primary or str(error.orig), said.message_detail, said.message_hint)
    return "\n".join(part for part in parts if part)
