"""Tables of the PPDB from the Felis schema of the APDB, as dax_ppdb makes them.

dax_ppdb replicates into the tables of ``apdb.yaml``, of which ``ppdb.yaml`` publishes a part. The tables here
are those that are published, with all of their columns in the APDB, and the two in which dax_ppdb keeps its
books. Foreign keys are left out: sources arrive before the objects that they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import TIMESTAMP

from ppdb_replay.errors import FelisSchemaError
from ppdb_replay.tables.published import CHUNKS, FELIS, METADATA, PUBLISHED, SYSTEM_COLUMNS

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
    FelisSchemaError
        Raised if the file cannot be read, or lacks one of the tables that replication writes.
    """
    try:
        # Here, since it takes half a second, and only who makes tables needs it.
        from felis import Schema  # noqa: PLC0415
        from felis.metadata import MetaDataBuilder  # noqa: PLC0415
    except ImportError as error:
        problem = "lsst-felis is not installed: pip install 'tapdb[replication]'"
        raise FelisSchemaError(felis, problem) from error
    try:
        schema = Schema.from_uri(felis, context={"id_generation": True})
    except (OSError, ValueError, ValidationError) as error:
        raise FelisSchemaError(felis, f"it cannot be read: {error}") from error
    known = {table.name for table in schema.tables}
    missing = [name for name in PUBLISHED[:3] if name not in known]
    if missing:
        raise FelisSchemaError(felis, f"it has no table {', '.join(missing)}")
    wanted = {*PUBLISHED, METADATA}
    schema.tables = [table for table in schema.tables if table.name in wanted]
    for table in schema.tables:
        table.constraints = [one for one in table.constraints if one.type != "ForeignKey"]
    metadata = MetaDataBuilder(schema, apply_schema_to_metadata=False).build()
    for column in (column for table in metadata.tables.values() for column in table.columns):
        column.type = _type_of_dax(column.type)
    _add_chunks(metadata)
    version = schema.version if isinstance(schema.version, str) else getattr(schema.version, "current", "")
    return PpdbSchema(str(version), metadata)


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
    """Return the type that dax_ppdb gives a column, where it is not the one that Felis gives."""
    if isinstance(felis_type, sa.Float) and not isinstance(felis_type, sa.Double):
        # Felis leaves the precision of its 32-bit numbers open, which PostgreSQL takes for 64.
        return sa.REAL()
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
