"""How large published tables are, and how fresh: read beside requests, and kept for a while."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa

from adql import AdqlError, CompiledQuery, Limits, parse, to_postgres
from services.database import PublishedState
from services.errors import status_of
from services.service import Service, in_thread
from tap_query.errors import QueryFailedError
from tap_query.execute import Session, explain, fetch
from tap_query.recording import load_recorders
from tapdb.errors import DatabaseUnavailableError, TapdbError
from tapdb.postgres.engine import driver_connection
from tapdb.sources import execute_query, read_query

_KNOWN_S = 30.0
# A page is shown without figures rather than late.
_PATIENCE_S = 0.4
_SESSION = Session(timeout_ms=2_000)
# Fewer rows than these are counted.
_COUNTED = 50_000
_SHOWN_DIGITS = 2
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_NIGHT_BEGINS = timedelta(hours=12)
_FAULT = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableSize:
    """How many rows a table has.

    Attributes
    ----------
    rows
        The number.
    is_exact
        Whether they were counted; if not, the statistics of the planner say so.
    """

    rows: int
    is_exact: bool

    def __str__(self) -> str:
        if self.is_exact:
            return f"{self.rows:,}"
        return f"about {round(self.rows, _SHOWN_DIGITS - len(str(self.rows))):,}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found at one moment.

    Attributes
    ----------
    read_at
        The moment.
    sizes
        Sizes by name of the table; those that could not be read in time are missing.
    newest_image
        Begin of the newest observation, UTC.
    committed_at
        When the last transaction was committed; `None` where the server does not note it.
    snapshot, snapshot_at
        Number of the newest snapshot of a PPDB, and its time, TAI.
    problem
        What keeps the figures from being read; empty if nothing does.
    """

    read_at: datetime
    sizes: Mapping[str, TableSize] = field(default_factory=dict)
    newest_image: datetime | None = None
    committed_at: datetime | None = None
    snapshot: int | None = None
    snapshot_at: datetime | None = None
    problem: str = ""

    @property
    def night(self) -> str:
        """The night of the newest observation, by the day on which it began: ``day_obs``, in UTC-12."""
        return "" if self.newest_image is None else (self.newest_image - _NIGHT_BEGINS).date().isoformat()


class FigureKeeper:
    """Keeps figures, and reads them again when they are old and wanted.

    Attributes
    ----------
    known
        What was read last; `None` before the first time.
    """

    def __init__(self) -> None:
        self.known: Figures | None = None
        self._until = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def current(self, service: Service) -> Figures | None:
        """Return what is known; `None` if the first figures cannot be read in time.

        Parameters
        ----------
        service
            The service.
        """
        if time.monotonic() >= self._until and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read(service))
        if self.known is None and self._reading is not None:
            await asyncio.wait({self._reading}, timeout=_PATIENCE_S)
        return self.known

    async def _read(self, service: Service) -> None:
        def read() -> Figures:
            published = service.database.publication()
            with service.database.connect() as connection:
                return read_figures(connection, published)

        try:
            self.known = await in_thread(service, read)
        except DatabaseUnavailableError:
            self.known = Figures(datetime.now(UTC), problem="the database does not answer")
        except TapdbError as error:
            _log.warning("figures of the start page: %s", error)
            told = "figures cannot be read" if status_of(error) == _FAULT else str(error)
            self.known = Figures(datetime.now(UTC), problem=told)
        finally:
            self._until = time.monotonic() + _KNOWN_S


def read_figures(connection: sa.Connection, published: PublishedState) -> Figures:
    """Return sizes and freshness of what is published.

    Parameters
    ----------
    connection
        Connection in the role of readers, in no transaction.
    published
        What is published.

    Raises
    ------
    DatabaseUnavailableError
        Raised if the database does not answer.
    """
    reader = _Reader(driver_connection(connection), published)
    names = [one.table_name for one in published.rows.tables]
    sizes = {name: size for name in names if (size := reader.size(name)) is not None}
    obscore = next((name for name in names if name.lower() == "ivoa.obscore"), None)
    newest = None if obscore is None else reader.newest(obscore)
    committed = execute_query(connection, read_query("published.last_commit"))[0].committed_at
    return Figures(datetime.now(UTC), sizes, newest, committed, *reader.snapshot())


class _Reader:
    """Reads figures by queries in ADQL, each in a transaction of its own."""

    def __init__(self, driver: psycopg.Connection[Any], published: PublishedState) -> None:
        self._driver = driver
        self._published = published

    def size(self, table: str) -> TableSize | None:
        """Return how many rows a table has, counted if they are few; `None` if that takes too long."""
        try:
            compiled = self._compiled(f"SELECT * FROM {table}")  # noqa: S608 - ADQL
            if compiled.is_guarded:
                # The planner knows of rows that nobody is to count yet.
                return None
            plan = json.loads(
                explain(
                    self._driver,
                    compiled,
                    analyze=False,
                    as_json=True,
                    session=_SESSION,
                )
            )
            rows = int(plan[0]["Plan"]["Plan Rows"])
            if rows > _COUNTED:
                return TableSize(rows, is_exact=False)
            return TableSize(self._first(f"SELECT COUNT(*) AS n FROM {table}"), is_exact=True)  # noqa: S608
        except (AdqlError, QueryFailedError):
            # One table that cannot be read does not keep the others from being shown.
            return None
        finally:
            self._driver.rollback()

    def newest(self, table: str) -> datetime | None:
        """Return the begin of the newest observation, which an index finds; `None` if that takes too long."""
        query = f"SELECT TOP 1 t_min FROM {table} WHERE t_min IS NOT NULL ORDER BY t_min DESC"  # noqa: S608
        try:
            return _time(self._first(query))
        except (AdqlError, QueryFailedError):
            return None
        finally:
            self._driver.rollback()

    def snapshot(self) -> tuple[int | None, datetime | None]:
        """Return the number of the newest snapshot, and its time; `None` for tables without versions."""
        states = (one.newest(self._driver) for one in load_recorders())
        found = next((one for one in states if one is not None), None)
        return (None, None) if found is None else (found.number, _time(found.t_mjd_tai))

    def _first(self, query: str) -> Any:
        rows = fetch(self._driver, self._compiled(query), max_rows=1, session=_SESSION).rows
        return rows[0][0] if rows else None

    def _compiled(self, query: str) -> CompiledQuery:
        published = self._published
        return to_postgres(parse(query), published.metadata, Limits(), server=published.server)


def _time(mjd: float | None) -> datetime | None:
    """Return a time; `None` for NULL, NaN and days of which no calendar knows."""
    try:
        return None if mjd is None else _MJD_ZERO + timedelta(days=mjd)
    except (ValueError, OverflowError):
        return None
