"""Values of PostgreSQL that Python's own types would change or cannot hold, as the text that they are."""

import re
from typing import Any

from psycopg import DataError
from psycopg.abc import AdaptContext, Buffer
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.string import TextLoader

_ZONE = re.compile(r"\+00(?::?00)?\b")


class _Moment(TimestampLoader):
    def load(self, data: Buffer) -> Any:
        """Return a time; before year 1, after 9999 and infinity as text."""
        try:
            return super().load(data)
        except DataError:
            return _dali(data)


class _MomentWithZone(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        """Return a time; before year 1, after 9999 and infinity as text."""
        try:
            return super().load(data)
        except DataError:
            return _dali(data)


class _Date(DateLoader):
    def load(self, data: Buffer) -> Any:
        """Return a date; before year 1, after 9999 and infinity as text."""
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()


def load_exactly(context: AdaptContext) -> None:
    """Let a cursor or connection lose nothing of what the database sends.

    JSON stays the text that it is: its numbers have any number of digits, and its null is not NULL. Times
    that Python has none for come as text, in the ISO form of PostgreSQL with a ``T``, and in UTC as long as
    that is the time zone of the session.

    Parameters
    ----------
    context
        Cursor or connection; what it has been told before is replaced.
    """
    for name in ("json", "jsonb"):
        context.adapters.register_loader(name, TextLoader)
    context.adapters.register_loader("timestamp", _Moment)
    context.adapters.register_loader("timestamptz", _MomentWithZone)
    context.adapters.register_loader("date", _Date)


def _dali(data: Buffer) -> str:
    return _ZONE.sub("", bytes(data).decode()).replace(" ", "T", 1)
