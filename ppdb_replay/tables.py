"""The tables of a PPDB: read from sdm_schemas, published or not, and written as SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.schema import CreateIndex, CreateTable

from ppdb_replay.errors import FelisSchemaError
from tapdb.errors import DescriptionError
from tapdb.extras import from_extra
from tapdb.felis import read_tables

FELIS_PACKAGE = "lsst.sdm.schemas"
FELIS = f"resource://{FELIS_PACKAGE}/apdb.yaml"
"""The schema that lsst-sdm-schemas ships."""

PUBLISHED = (
    "DiaObject",
    "DiaSource",
    "DiaForcedSource",
    "SSSource",
    "SSObject",
    "mpc_orbits",
    "current_identifications",
    "numbered_identifications",
)
"""Tables that ``ppdb.yaml`` publishes: their rows are versioned."""

SYSTEM_COLUMNS = ("snap_from", "snap_to")
"""Columns that versioning adds: the snapshot from which a row is visible, the first in which it is not."""

METADATA = "metadata"
"""Table in which dax_ppdb keeps the versions of schema and software."""

CHUNKS = "PpdbReplicaChunk"
"""Table in which dax_ppdb keeps which chunks of the APDB it has copied."""


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
        # Its places begin with the name of the file, which is said already.
        lines = (
            line.removeprefix(f"{felis}: ").replace(f"{felis}:", "line ") for line in str(error).splitlines()
        )
        raise FelisSchemaError(felis, "\n".join(lines)) from error
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


_OWNER = sql.Identifier("tapdb_owner")
_READER = sql.Identifier("tapdb_reader")


def table_statements(schema: PpdbSchema, database_schema: str = "ppdb") -> tuple[str, ...]:
    """Return the statements that make all tables with their indexes and comments, owned by tapdb_owner.

    tapdb_reader may read those that are published, not dax_ppdb's books.

    Tables with a position get an index over it, for searches on the sky.

    Parameters
    ----------
    schema
        The tables.
    database_schema
        Database schema to make them in; it has to be there.
    """
    statements: list[str] = []
    for table in schema.metadata.tables.values():
        statements += _statements_of(table.to_metadata(sa.MetaData(), schema=database_schema))
    books = sql.Identifier(database_schema, METADATA)
    if METADATA in schema.metadata.tables:
        # What dax_ppdb looks for before it writes.
        for name, value in (("version:schema", schema.version), ("version:PpdbSql", "0.1.1")):
            insert = sql.SQL("INSERT INTO {} (name, value) VALUES ({}, {})")
            statements.append(insert.format(books, sql.Literal(name), sql.Literal(value)).as_string())
    return tuple(statements)


_POINT = sql.SQL("spoint(radians(ra), radians(dec))")


def position_index(schema: str, table: str, name: str, *, beside: str | None = None) -> sql.Composed:
    """Return the statement that makes the index over positions, as ADQL's POINT(ra, dec) is translated.

    Parameters
    ----------
    schema, table
        Table with columns ``ra`` and ``dec`` in degrees.
    name
        Name of the index.
    beside
        A column that is searched with the position, if there is one; never without it.
    """
    index, place = sql.Identifier(name), sql.Identifier(schema, table)
    if beside is None:
        return sql.SQL("CREATE INDEX {} ON {} USING gist ({})").format(index, place, _POINT)
    # GiST finds what is beside the position by reading all of the index, and the planner thinks it cheap.
    # That there is a position follows from any search at one: no other is answered by the index.
    frame = sql.SQL("CREATE INDEX {} ON {} USING gist ({point}, {}) WHERE {point} IS NOT NULL")
    return frame.format(index, place, sql.Identifier(beside), point=_POINT)


def _statements_of(table: sa.Table) -> Iterable[str]:
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    schema = str(table.schema)
    name = sql.Identifier(schema, table.name)
    yield str(CreateTable(table).compile(dialect=dialect)).strip()
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        yield str(CreateIndex(index).compile(dialect=dialect))
    if {"ra", "dec"} <= set(table.columns.keys()):
        yield position_index(schema, table.name, f"IDX_{table.name}_position").as_string()
    yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, _OWNER).as_string()
    if table.name in PUBLISHED:
        # Default privileges are for what tapdb_owner makes itself.
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(name, _READER).as_string()
    yield sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(table.comment or "")).as_string()
    for column in table.columns:
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}")
        yield comment.format(name, sql.Identifier(column.name), sql.Literal(column.comment or "")).as_string()
