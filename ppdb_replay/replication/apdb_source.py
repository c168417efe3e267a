"""Reading an APDB, through dax_apdb's `ApdbReplica` and nothing else.

dax_apdb is imported when an APDB is read: without it everything else works.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import yaml

from ppdb_replay.errors import ApdbNotReadableError, ApdbUnavailableError
from ppdb_replay.replication.chunk import (
    REPLICATED,
    Chunk,
    ChunkData,
    TableRows,
    UpdateRecord,
    attributed_records,
    convert_records,
)
from tapdb.extras import from_extra

if TYPE_CHECKING:
    from lsst.dax.apdb import ApdbReplica


_PACKAGE = "lsst.dax.apdb"
_USER_INFO = re.compile(r"(?<=://)[^\s/@]*@")
_UNIX_EPOCH_MJD = 40_587.0
_UNUSABLE = (
    *(OSError, ValueError, TypeError, LookupError, RuntimeError),
    *(yaml.YAMLError, sa.exc.InvalidRequestError),
)


def open_apdb(config: str) -> ApdbReplica:
    """Return what reads the APDB of a configuration.

    Parameters
    ----------
    config
        Path or URI of an APDB's configuration file, or ``label:NAME`` of the index that
        ``DAX_APDB_INDEX_URI`` names.

    Raises
    ------
    MissingExtraError
        Raised if dax_apdb, or the driver that it wants for this APDB, is not installed.
    ApdbNotReadableError
        Raised if the configuration cannot be read, or is not one of an APDB of this version.
    ApdbUnavailableError
        Raised if the APDB does not answer.
    """
    replica = _dax_apdb().ApdbReplica
    # dax_apdb wants the driver of the database that the configuration names.
    with _driver_errors(), _replication():
        try:
            opened: ApdbReplica = replica.from_uri(config)
        except _UNUSABLE as error:
            problem = _one_line(error)
            raise ApdbNotReadableError(
                _without_user(config),
                problem,
                "name the file that apdb-cli wrote, or label:NAME",
            ) from None
    return opened


def list_chunks(apdb: ApdbReplica) -> tuple[Chunk, ...]:
    """Return the chunks that an APDB has now.

    Raises
    ------
    ApdbNotReadableError
        Raised if the APDB was made without replication.
    ApdbUnavailableError
        Raised if the APDB does not answer.
    """
    with _driver_errors():
        chunks = apdb.getReplicaChunks()
    if chunks is None:
        raise ApdbNotReadableError(
            "as given", "it was made without replication", "make it with --enable-replica"
        )
    return tuple(Chunk(one.id, float(one.last_update_time.unix_tai), one.unique_id) for one in chunks)


def read_columns(apdb: ApdbReplica) -> dict[str, tuple[str, ...]]:
    """Return the names of the columns of each replicated table, as the APDB has them.

    Raises
    ------
    ApdbUnavailableError
        Raised if the APDB does not answer.
    """
    tables = _dax_apdb().ApdbTables
    with _driver_errors():
        return {name: tuple(apdb.getTableDataChunks(tables[name], []).column_names()) for name in REPLICATED}


def read_chunk(apdb: ApdbReplica, chunk: Chunk) -> ChunkData:
    """Return what a chunk holds.

    Raises
    ------
    ApdbUnavailableError
        Raised if the APDB does not answer.
    UnknownUpdateRecordError
        Raised if there is an update record of a type that is not known.
    """
    tables = _dax_apdb().ApdbTables
    with _driver_errors():
        # Records first: what comes while rows are read changes the unique id, and is read again.
        records = convert_records(apdb.getUpdateRecordChunks([chunk.id]))
        found = {name: apdb.getTableDataChunks(tables[name], [chunk.id]) for name in REPLICATED}
    data = {
        name: TableRows(tuple(table.column_names()), _sequence(table.rows())) for name, table in found.items()
    }
    return ChunkData(chunk, data, _with_attributed(records, data["DiaSource"]))


def _with_attributed(records: tuple[UpdateRecord, ...], sources: TableRows) -> tuple[UpdateRecord, ...]:
    """Return records with those that rows stand for, unless the APDB has sent the same."""
    known = {(one.diaSourceId, one.ssObjectId) for one in records}
    implied = attributed_records(sources.columns, sources.rows, mjd_tai=_mjd_tai)
    return (*records, *(one for one in implied if (one.diaSourceId, one.ssObjectId) not in known))


def _mjd_tai(value: Any) -> float:
    """Return a time of an APDB as MJD: a number is one; a timestamp is TAI, and its zone is ignored."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC).timestamp() / 86_400.0 + _UNIX_EPOCH_MJD
    return float(value)


def _sequence(rows: Any) -> Sequence[Sequence[Any]]:
    return rows if isinstance(rows, Sequence) else list(rows)


def _dax_apdb() -> ModuleType:
    with _replication():
        return import_module(_PACKAGE)


def _replication() -> AbstractContextManager[None]:
    return from_extra("replication", "reading an APDB")


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Turn what drivers say about a server that does not answer into one error; hide what is secret."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if not (
            error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
        ):
            raise
        raise ApdbUnavailableError(_one_line(error.orig or error)) from None
    except sa.exc.ArgumentError:
        # It repeats the URL, password and all.
        raise ApdbNotReadableError(
            "as given",
            "db_url in its configuration cannot be understood",
            "write postgresql://USER@HOST/NAME",
        ) from None
    except Exception as error:
        if not type(error).__module__.startswith("cassandra"):
            raise
        raise ApdbUnavailableError(_one_line(error)) from None


def _one_line(error: BaseException) -> str:
    return _without_user(" ".join(str(error).split()))


def _without_user(text: str) -> str:
    return _USER_INFO.sub("***@", text)
