"""The SQL that makes the tables of a PPDB; nothing is executed here."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from ppdb_replay.tables.published import METADATA, PUBLISHED
from ppdb_replay.tables.schema import PpdbSchema

__all__ = ["position_index", "table_statements"]

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


def position_index(schema: str, table: str, name: str) -> sql.Composed:
    """Return the statement that makes the index over positions, as ADQL's POINT(ra, dec) is translated.

    Parameters
    ----------
    schema, table
        Table with columns ``ra`` and ``dec`` in degrees.
    name
        Name of the index.
    """
    frame = sql.SQL("CREATE INDEX {} ON {} USING gist (spoint(radians(ra), radians(dec)))")
    return frame.format(sql.Identifier(name), sql.Identifier(schema, table))


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
