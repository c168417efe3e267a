"""Replication as a service: copying chunks as they come, over connections that may break."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from ppdb_replay.errors import ApdbUnavailableError
from ppdb_replay.replication.replicate import ReplicationProgress, StopRequest, replicate
from tapdb.errors import DatabaseUnavailableError
from tapdb.postgres.engine import checked_connection, driver_connection

if TYPE_CHECKING:
    from lsst.dax.apdb import ApdbReplica


_LOG = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_ATTEMPTS = 5
_PASSING = (ApdbUnavailableError, DatabaseUnavailableError, psycopg.OperationalError, psycopg.InterfaceError)


@contextmanager
def connect(url: str | None = None) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection to a PPDB, as `tapdb.postgres.engine.checked_connection` makes them.

    Raises
    ------
    DatabaseUnavailableError
        Raised if it cannot be made.
    SettingsError
        Raised if the URL cannot be understood.
    """
    with checked_connection(url, application_name="tapdb ppdb replicate") as session:
        connection = driver_connection(session)
        # End the transaction that SQLAlchemy began.
        connection.rollback()
        yield connection


def follow(
    open_apdb: Callable[[], ApdbReplica],
    open_ppdb: Callable[[], AbstractContextManager[psycopg.Connection[Any]]],
    *,
    stop: StopRequest,
    interval_s: float | None,
    schema: str = "ppdb",
    settle_s: float = 0.0,
    progress: Callable[[ReplicationProgress], None] | None = None,
) -> int:
    """Copy chunks as they come, until told to stop; return how many were copied.

    A lost connection is opened again after a pause, which grows to a minute while attempts fail.

    Parameters
    ----------
    open_apdb, open_ppdb
        Open the APDB and a connection to the PPDB.
    stop
        Ends it: the chunk at hand is finished first.
    interval_s
        Pause between two looks at the APDB, in seconds. None is to look once, and to give up after five
        attempts in which not one chunk could be copied.
    schema, settle_s, progress
        As for `ppdb_replay.replication.replicate.replicate`.

    Raises
    ------
    ReplicationSchemaError
        Raised if the tables of the PPDB cannot take what the APDB has.
    UnknownUpdateRecordError
        Raised if there is an update record of a type that is not known.
    ApdbNotReadableError
        Raised if there is no such APDB.
    PpdbRefusedError
        Raised if PostgreSQL refuses a chunk.
    ApdbUnavailableError, DatabaseUnavailableError, psycopg.Error
        Raised if ``interval_s`` is None and a server could not be reached.
    """
    total = 0
    failures = 0

    def count(one: ReplicationProgress) -> None:
        nonlocal total, failures
        total += one.copied is not None
        failures = 0
        if progress is not None:
            progress(one)

    while not stop.requested:
        try:
            with open_ppdb() as connection:
                apdb = open_apdb()
                while not stop.requested:
                    replicate(apdb, connection, schema=schema, settle_s=settle_s, stop=stop, progress=count)
                    if interval_s is None:
                        return total
                    stop.wait(interval_s)
        except _PASSING as error:
            failures += 1
            if interval_s is None and failures == _ATTEMPTS:
                raise
            pause_s = min(_FIRST_PAUSE_S * 2.0 ** (failures - 1), _LONGEST_PAUSE_S)
            _LOG.warning("replication goes on in %g s: %s", pause_s, " ".join(str(error).split()))
            stop.wait(pause_s)
    return total
