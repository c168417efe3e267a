"""What the database refuses of the query store, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import errors

from ppdb_replay.errors import PpdbNotReadyError
from ppdb_replay.publication_errors import QueryStoreRefusedError

__all__ = ["readable_refusals"]


@contextmanager
def readable_refusals() -> Iterator[None]:
    """Raise an error of ours where the store is not there, or not open to whoever is connected.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    QueryStoreRefusedError
        Whoever is connected may not, or the server is a copy that is only read.
    """
    try:
        yield
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise PpdbNotReadyError(
            "this database has no query store", "Make it: tapdb migrate upgrade."
        ) from error
    except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
        raise QueryStoreRefusedError(error.diag.message_primary or "") from error
