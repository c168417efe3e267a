"""Queries over versioned tables that another engine answers from files, without the database.

A job that writes such a lake offers `Lakes` under the entry-point group ``tapdb.lakes``.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

import psycopg

from adql import Metadata, OutputColumn
from tap_query.answer import TapQuery
from tap_query.execute import RowStream
from tap_query.formats import ResultStream
from tap_query.formats.stream import stream_rows
from tap_query.recording import RecordableQuery, Watch
from tapdb.errors import SettingsError
from tapdb.votable.document import Info, ServiceDescriptor

GROUP = "tapdb.lakes"


class LakeService(NamedTuple):
    """A service beside a lake: what it publishes, and what the database lets its user see.

    Attributes
    ----------
    published
        Units and UCDs of columns, and functions.
    connection
        Connection in the role of the user: rows that are not released are in the lake too.
    """

    published: Metadata
    connection: psycopg.Connection[Any]


class LakeAnswer(Protocol):
    """A query that is ready to run on a lake; what it says of its record is that of `Recording`."""

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The columns of the result."""

    @property
    def infos(self) -> Sequence[Info]:
        """INFO elements before the rows."""

    @property
    def services(self) -> Sequence[ServiceDescriptor]:
        """Service descriptors."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Headers of an answer over HTTP."""

    def watch(self) -> Watch:
        """Return what sees the rows of one run of the query."""

    def rows(self) -> AbstractContextManager[RowStream]:
        """Run it."""

    def cancel(self) -> None:
        """Stop it if it runs; called in another thread, any number of times."""


class OpenedLake(Protocol):
    """A lake that is open for reading; many threads may ask at once."""

    def prepare(
        self, query: RecordableQuery, dialect: str, timeout_ms: int, service: LakeService | None = None
    ) -> AbstractContextManager[LakeAnswer]:
        """Give a natural query as of a snapshot, the newest one of the lake if it names none.

        Parameters
        ----------
        query
            The query as it was sent.
        dialect
            Dialect of ADQL.
        timeout_ms
            Milliseconds that it may take; 0 for no limit.
        service
            The service that gives the answer away; `None` for those who have the files.

        Raises
        ------
        TapdbError
            Raised for what is wrong with the query or its snapshot, or cannot be answered.
        """

    def close(self) -> None:
        """Close the lake when its last query has ended."""


Lakes = Callable[[str], OpenedLake]
"""What opens a lake, whose place is given: a folder, or a URL."""


@cache
def load_lakes() -> Lakes:
    """Return what opens lakes.

    Raises
    ------
    SettingsError
        Raised if no installed package can.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not found:
        raise SettingsError("lake", "no installed package opens lakes", "install tapdb[lake]")
    loaded: Lakes = found[min(found)].load()
    return loaded


def stream_answer(answer: LakeAnswer, query: TapQuery) -> ResultStream:
    """Run a query on a lake, and give the bytes of its result.

    Parameters
    ----------
    answer
        What `OpenedLake.prepare` gave.
    query
        The query.
    """
    facts = query.facts
    facts = replace(
        facts,
        infos=(*facts.infos, *answer.infos),
        services=(*facts.services, *answer.services),
        watch=answer.watch,
    )
    return stream_rows(
        answer.columns,
        answer.rows,
        format=query.format,
        max_rows=query.max_rows,
        facts=facts,
        gzip=query.gzip,
    )
