"""The connection of ``tapdb replay``: a driver's, outside of any transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ppdb_replay.replaying.execution import Connection
from tapdb.engine import checked_connection, driver_connection

__all__ = ["idle_connection"]


@contextmanager
def idle_connection(url: str | None) -> Iterator[Connection]:
    """Give a connection outside of any transaction: the work begins its own, of one snapshot.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.

    Raises
    ------
    DatabaseUnavailableError
        The connection cannot be made, or breaks.
    SettingsError
        The URL cannot be understood.
    """
    with checked_connection(url, application_name="tapdb replay") as connection:
        driver = driver_connection(connection)
        driver.rollback()
        yield driver
