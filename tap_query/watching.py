"""Rows that a query gains, as they are committed: what a job offers that keeps a journal of its tables.

The job offers `OpenWatch` under the entry-point group ``tapdb.watchers``; commands and services watch by it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol

import psycopg

from adql import Metadata, OutputColumn, Query, Server
from tapdb.errors import SettingsError
from tapdb.votable.text import json_of

GROUP = "tapdb.watchers"

CHANNEL = "tapdb_journal"
"""Channel on which a commit wakes those who watch; who has not been woken looks by the clock as well."""


@dataclass(frozen=True, slots=True)
class GainedRows:
    """What a query has gained between two positions.

    Attributes
    ----------
    columns
        Columns of the query.
    rows
        The rows.
    position
        Up to where this is all: a text that goes on from here, also on another connection.
    """

    columns: tuple[OutputColumn, ...]
    rows: Sequence[tuple[Any, ...]]
    position: str

    def objects(self) -> list[Mapping[str, Any]]:
        """Return the rows as JSON has them, by the names of columns."""
        names = [one.name for one in self.columns]
        return [dict(zip(names, map(json_of, row), strict=True)) for row in self.rows]


class WatchedQuery(Protocol):
    """A query whose rows are watched."""

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The columns of its rows."""

    def gained(self, connection: psycopg.Connection[Any], since: str | None) -> GainedRows:
        """Return the rows gained since a position; if that is None, none, and the position of now.

        Parameters
        ----------
        connection
            Connection in no transaction; it is in none afterwards.
        since
            The position up to which its rows are known.

        Raises
        ------
        TapdbError
            Raised if the position cannot be used, or the database fails.
        """


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """What one look may take.

    Attributes
    ----------
    timeout_ms
        Milliseconds; 0 for no limit.
    max_rows
        Rows; None for no limit.
    """

    timeout_ms: int = 0
    max_rows: int | None = None


OpenWatch = Callable[[Query, Metadata, Server, WatchLimits], WatchedQuery]
"""Makes what watches a query: of the query, what is published, the server, and what a look may take."""


@cache
def load_watcher() -> OpenWatch:
    """Return what watches queries.

    Raises
    ------
    SettingsError
        Raised if no installed package can.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not found:
        raise SettingsError("watch", "no installed package keeps a journal", "install tapdb")
    loaded: OpenWatch = found[min(found)].load()
    return loaded
