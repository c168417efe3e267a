"""Results that carry a record by which they can be had again: a job makes it, the TAP path writes it.

A job that keeps versions of its tables offers a `Recorder` under the entry-point group ``tapdb.recorders``.
The first one that covers a query prepares it; what it returns is run, sees the rows, and says what stands
before and behind them. A query that no recorder covers is run as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol

import psycopg

from adql import CompiledQuery, Metadata, Query, Server
from tapdb.votable.document import Info, ServiceDescriptor

GROUP = "tapdb.recorders"


@dataclass(frozen=True, slots=True)
class RecordedRelease:
    """What decided which rows the one saw who made a result.

    Attributes
    ----------
    instant
        Instant at which release counted: UTC, ISO 8601; empty if all rows of the tables were for everybody.
    groups
        Roles through which rows were seen that were not released; none if the result was for everybody.
    """

    instant: str = ""
    groups: tuple[str, ...] = ()


class RecordableQuery(Protocol):
    """What a recorder reads of a query as it was sent; `tap_query.answer.TapQuery` is one."""

    @property
    def max_rows(self) -> int:
        """Maximum number of rows."""

    @property
    def snapshot(self) -> str:
        """State of versioned tables that it is to see; empty for the present one."""

    @property
    def release(self) -> RecordedRelease | None:
        """What decided which rows were seen, of a result that is to come again; `None` for a new one."""

    @property
    def text(self) -> str:
        """ADQL."""

    @property
    def exact_sums(self) -> bool:
        """Whether floating-point numbers are added up in a fixed order."""

    @property
    def has_uploads(self) -> bool:
        """Whether it brings tables."""

    @property
    def base_url(self) -> str:
        """URL of the service; empty if it is not known."""


class Watch(Protocol):
    """Sees the rows of one result on their way into a document that has a place for the record."""

    def plain(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yield rows of plain values as they come."""

    def packed(self, rows: Iterable[bytes]) -> None:
        """Take rows of BINARY2 whose text is ASCII."""

    def infos(self, *, overflow: bool) -> Sequence[Info]:
        """Return the INFO elements behind the rows, all of which have come."""


class Recording(Protocol):
    """A query that is recorded."""

    @property
    def compiled(self) -> CompiledQuery:
        """The query as it is run, on the connection and in the transaction in which it was prepared."""

    @property
    def infos(self) -> Sequence[Info]:
        """INFO elements before the rows."""

    @property
    def services(self) -> Sequence[ServiceDescriptor]:
        """Service descriptors."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Headers of an answer over HTTP, in any format: where the record is found."""

    @property
    def record(self) -> str:
        """The record as text, once all rows of a VOTable have come; empty before."""

    def watch(self) -> Watch:
        """Return what sees the rows of one run of the query."""


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """A query that is to be recorded.

    Attributes
    ----------
    connection
        Connection in no transaction; the one that begins here is the query's.
    query, tree
        The query, as it was sent and as it was parsed.
    metadata, server
        What is published, and what the database can do.
    add_uploads
        Makes the uploads of the query in the transaction, and returns all that it may name.
    """

    connection: psycopg.Connection[Any]
    query: RecordableQuery
    tree: Query
    metadata: Metadata
    server: Server
    add_uploads: Callable[[], Metadata]


@dataclass(frozen=True, slots=True)
class NewestState:
    """The newest state of the tables of a job.

    Attributes
    ----------
    number
        Its number, by which a query can name it.
    t_mjd_tai
        Its time; MJD, TAI.
    """

    number: int
    t_mjd_tai: float


class Recorder(Protocol):
    """Prepares queries over the tables of one job."""

    def newest(self, connection: psycopg.Connection[Any]) -> NewestState | None:
        """Return the newest state of the tables; `None` if there is none, or this role may not know it.

        Parameters
        ----------
        connection
            Connection in no transaction; it is in none again afterwards.
        """

    def covers(self, tree: Query, metadata: Metadata) -> bool:
        """Return whether a query may name a table of the job; asked of every query, without a database."""

    def prepare(self, asked: RecordRequest) -> Recording | None:
        """Prepare a query that is covered; `None` if it names no table of the job after all.

        Parameters
        ----------
        asked
            The query, and what it stands on; its `RecordRequest.add_uploads` is called once, or not at all if
            `None` is returned.

        Raises
        ------
        TapdbError
            Raised for what is wrong with the query, or with the snapshot that it wants.
        """


@cache
def load_recorders() -> tuple[Recorder, ...]:
    """Return the recorders of all installed packages, in the order of names."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    return tuple(found[name].load() for name in sorted(found))
