"""Tables of the PPDB from the Felis schema of the APDB, as dax_ppdb makes them.

dax_ppdb replicates into the tables of ``apdb.yaml``, of which ``ppdb.yaml`` publishes a part. The tables here
are those that are published, with all of their columns in the APDB, and the two in which dax_ppdb keeps its
books. Foreign keys are left out: sources arrive before the objects that they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP

from ppdb_replay.errors import FelisSchemaError
from ppdb_replay.tables.published import CHUNKS, FELIS, FELIS_PACKAGE, METADATA, PUBLISHED, SYSTEM_COLUMNS
from tapdb.errors import DescriptionError
from tapdb.extras import from_extra
from tapdb.felis import read_tables

__all__ = ["PpdbSchema", "read_schema", "with_system_columns", "with_timestamps"]

_TIMESTAMP = TIMESTAMP(timezone=True)
_TIMESTAMPS = {
    ("DiaObject", "validityStartMjdTai"): "validityStart",
    ("DiaObject", "validityEndMjdTai"): "validityEnd",
    ("DiaSource", "ssObjectReassocTimeMjdTai"): "ssObjectReassocTime",
    ("DiaSource", "timeProcessedMjdTai"): "time_processed",
    ("DiaSource", "timeWithdrawnMjdTai"): "time_withdrawn",
    ("DiaForcedSource", "timeProcessedMjdTai"): "time_processed",
    ("DiaForcedSource", "timeWithdrawnMjdTai"): "time_withdrawn",
}
"""What columns of times were called up to version 8.0.0 of the schema, in which they were timestamps."""


@dataclass(frozen=True, slots=True)
class PpdbSchema:
    """Tables of a PPDB.

    Attributes
    ----------
    version
        Version of the Felis schema.
    metadata
        The tables; of no database schema.
    """

    version: str
    metadata: sa.MetaData

    @property
    def versioned(self) -> tuple[str, ...]:
        """Names of the tables whose rows are versioned, in the order of `PUBLISHED`."""
        return tuple(name for name in PUBLISHED if name in self.metadata.tables)


def read_schema(felis: str = FELIS) -> PpdbSchema:
    """Return the tables of a PPDB from the Felis schema of an APDB.

    Parameters
    ----------
    felis
        Path or ``resource://`` URI of a Felis file.

    Raises
    ------
    MissingExtraError
        Raised if the schema is that of lsst-sdm-schemas, and this is not installed.
    FelisSchemaError
        Raised if the file cannot be read, or lacks one of the tables that replication writes.
    """
    if felis == FELIS:
        with from_extra("replication", "tables of a PPDB"):
            import_module(FELIS_PACKAGE)
    try:
        read = read_tables(felis)
    except DescriptionError as error:
        raise FelisSchemaError(felis, f"it cannot be read: {error}") from error
    missing = [name for name in PUBLISHED[:3] if name not in read.metadata.tables]
    if missing:
        raise FelisSchemaError(felis, f"it has no table {', '.join(missing)}")
    for table in tuple(read.metadata.tables.values()):
        if table.name not in {*PUBLISHED, METADATA}:
            read.metadata.remove(table)
        for column in table.columns:
            column.type = _type_of_dax(column.type)
    _add_chunks(read.metadata)
    return PpdbSchema(read.version, read.metadata)


def with_timestamps(schema: PpdbSchema) -> PpdbSchema:
    """Return a schema with the columns of times that it had up to version 8.0.0: timestamps, not MJD."""
    metadata = sa.MetaData()
    for table in schema.metadata.tables.values():
        columns = []
        for column in table.columns:
            old_name = _TIMESTAMPS.get((table.name, column.name))
            copy = column._copy()  # noqa: SLF001 - Table.to_metadata copies by it, and cannot rename
            if old_name is not None:
                copy = sa.Column(
                    old_name,
                    _TIMESTAMP,
                    primary_key=column.primary_key,
                    nullable=column.nullable,
                    comment=column.comment,
                )
            columns.append(copy)
        sa.Table(table.name, metadata, *columns, comment=table.comment)
        _copy_constraints(table, metadata.tables[table.name], renamed=_TIMESTAMPS)
    return PpdbSchema("8.0.0", metadata)


def with_system_columns(schema: PpdbSchema) -> PpdbSchema:
    """Return a schema whose published tables begin with the columns of versioning, not filled yet.

    PostgreSQL can add columns at the end alone, where a query as of a snapshot has to step over all others
    in each row to get at them.
    """
    metadata = sa.MetaData()
    for table in schema.metadata.tables.values():
        names = SYSTEM_COLUMNS if table.name in PUBLISHED else ()
        system = [sa.Column(name, sa.BigInteger) for name in names]
        own = [column._copy() for column in table.columns]  # noqa: SLF001 - as above
        copy = sa.Table(table.name, metadata, *system, *own, comment=table.comment)
        _copy_constraints(table, copy)
    return PpdbSchema(schema.version, metadata)


def _type_of_dax(felis_type: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Return the type that dax_ppdb gives a column: its timestamps have a zone."""
    return _TIMESTAMP if isinstance(felis_type, sa.TIMESTAMP) else felis_type


def _copy_constraints(
    table: sa.Table, copy: sa.Table, *, renamed: Mapping[tuple[str, str], str] = MappingProxyType({})
) -> None:
    def name(column: sa.Column[object]) -> str:
        return renamed.get((table.name, column.name), column.name)

    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            names = (name(column) for column in constraint.columns)
            copy.append_constraint(sa.UniqueConstraint(*names, name=constraint.name))
    for index in table.indexes:
        sa.Index(index.name, *(copy.c[name(column)] for column in index.columns))


def _add_chunks(metadata: sa.MetaData) -> None:
    """Add dax_ppdb's table of the chunks that were replicated."""
    sa.Table(
        CHUNKS,
        metadata,
        sa.Column(
            "apdb_replica_chunk",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="Number of the chunk in the APDB.",
        ),
        sa.Column(
            "last_update_time", _TIMESTAMP, nullable=False, comment="When the chunk was last written there."
        ),
        sa.Column("unique_id", sa.Uuid, nullable=False, comment="Changes with each write to the chunk."),
        sa.Column("replica_time", _TIMESTAMP, nullable=False, comment="When the chunk was copied."),
        sa.Index("PpdbInsertId_idx_last_update_time", "last_update_time"),
        sa.Index("PpdbInsertId_idx_replica_time", "replica_time"),
        comment="Chunks of the APDB that were copied into the PPDB.",
    )
