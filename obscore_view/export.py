"""A view as a file: Parquet, CSV or VOTable, streamed from PostgreSQL, with memory that stays flat."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

import psycopg
import sqlalchemy as sa
from psycopg import sql

from adql.names import column_id
from obscore_view.columns import find_column, published_name
from obscore_view.errors import ViewMissingError
from tapdb.extras import from_extra
from tapdb.postgres.engine import driver_connection, load_exactly
from tapdb.votable import Document, Field, System, plain_rows, write_votable, written_fields

_TEXT = ("char", "*")
_TYPES: dict[str, tuple[str, str | None]] = {
    "text": _TEXT,
    "boolean": ("boolean", None),
    "integer": ("int", None),
    "bigint": ("long", None),
    "double precision": ("double", None),
    "uuid": _TEXT,
    "timestamp(3) without time zone": _TEXT,
    "timestamp without time zone": _TEXT,
}
"""Types of VOTable by PostgreSQL's; columns of other types, pg_sphere's, are left out."""


@dataclass(frozen=True, slots=True)
class ExportedColumn:
    """A column of a file.

    Attributes
    ----------
    kind
        Type in PostgreSQL.
    field
        What the column is and means.
    """

    kind: str
    field: Field

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.field.name

    @property
    def is_moment(self) -> bool:
        """Whether its values are times."""
        return self.kind.startswith("timestamp")


def readable_views(connection: sa.Connection) -> tuple[str, ...]:
    """Return the names of the ObsCore views that the user may read, ``schema.name``."""
    names = ("table_schema", "table_name")
    views = sa.table("views", *map(sa.column, names), schema="information_schema")
    columns = sa.table("columns", *map(sa.column, (*names, "column_name")), schema="information_schema")
    same = sa.and_(*(views.c[name] == columns.c[name] for name in names))
    name = sa.cast(views.c.table_schema, sa.Text) + "." + sa.cast(views.c.table_name, sa.Text)
    query = sa.select(name).join(columns, same).where(columns.c.column_name == "obs_publisher_did")
    return tuple(connection.scalars(query.order_by(name)))


def read_columns(connection: sa.Connection, schema: str, name: str) -> tuple[ExportedColumn, ...]:
    """Return the columns of a view that a file can hold; none if there is no view that may be read."""
    relation = sa.func.to_regclass(sql.Identifier(schema, name).as_string(None))
    attribute = sa.table(
        "pg_attribute",
        *map(sa.column, ("attrelid", "attname", "attnum", "atttypid", "atttypmod", "attisdropped")),
        schema="pg_catalog",
    )
    query = (
        sa.select(
            attribute.c.attname,
            sa.func.format_type(attribute.c.atttypid, attribute.c.atttypmod),
            sa.func.col_description(attribute.c.attrelid, attribute.c.attnum),
        )
        .where(
            attribute.c.attrelid == relation,
            attribute.c.attnum > 0,
            ~attribute.c.attisdropped,
            sa.func.has_column_privilege(attribute.c.attrelid, attribute.c.attnum, "SELECT"),
        )
        .order_by(attribute.c.attnum)
    )
    rows = connection.execute(query).all()
    table = f"{schema}.{published_name(name)}"
    return tuple(_column(table, column, kind, comment) for column, kind, comment in rows if kind in _TYPES)


def _column(table: str, name: str, kind: str, comment: str | None) -> ExportedColumn:
    standard = find_column(name)
    datatype, arraysize = _TYPES[kind]
    # As a query has it, to which DataLink descriptors refer.
    identifier = column_id(table, name)
    if standard is None:
        xtype = "timestamp" if kind.startswith("timestamp") else "uuid" if kind == "uuid" else None
        field = Field(name, datatype, arraysize, xtype, description=comment or None, identifier=identifier)
    else:
        meaning = (standard.unit, standard.ucd, standard.utype, standard.description)
        field = Field(name, datatype, arraysize, standard.xtype, *meaning, identifier)
    return ExportedColumn(kind, field)


Form = Literal["parquet", "csv", "votable"]

RowProgress = Callable[[int], None]
"""Called with the number of rows that are written."""

_ROWS_AT_ONCE = 4096

SYSTEMS = (
    System("COOSYS", {"ID": "icrs", "system": "ICRS"}),
    System(
        "TIMESYS",
        {"ID": "utc", "timeorigin": "MJD-origin", "timescale": "UTC", "refposition": "TOPOCENTER"},
    ),
)
"""Systems that columns of ObsCore are in."""

REFERENCES = {"s_ra": "icrs", "s_dec": "icrs", "s_region": "icrs", "t_min": "utc", "t_max": "utc"}
"""Which of them a column is in."""


@dataclass(frozen=True, slots=True)
class _View:
    schema: str
    name: str
    columns: tuple[ExportedColumn, ...]


def export_view(
    connection: sa.Connection,
    view: str,
    file: IO[bytes],
    *,
    form: Form = "parquet",
    compression: str = "snappy",
    progress: RowProgress | None = None,
) -> int:
    """Write all rows of a view as they are at one moment; return their number.

    pg_sphere's values are left out: ``s_region``, ``s_ra`` and ``s_dec`` say the same.

    Parameters
    ----------
    connection
        Connection of a user who may read the view; nothing else is needed.
    view
        Name of the view, ``schema.name``.
    file
        Where to write.
    form
        Format of the file. Each column has its unit, UCD, utype and description in Parquet and VOTable.
    compression
        Compression of a Parquet file.
    progress
        Called with the number of rows that are written.

    Raises
    ------
    MissingExtraError
        Raised if the format is Parquet, and pyarrow is not installed.
    ValueWriteError
        Raised if the format does not have a value of the view.
    ViewMissingError
        Raised if there is no such view, or it may not be read.
    """
    schema, _, name = view.lower().partition(".")
    columns = read_columns(connection, schema, name)
    if not columns:
        raise ViewMissingError(view, readable_views(connection))
    what = _View(schema, name, columns)
    match form:
        case "csv":
            return _write_csv(connection, what, file, progress)
        case "votable":
            return _write_votable(connection, what, file, progress)
        case "parquet":
            with from_extra("export", "--format parquet"):
                # pyarrow takes a third of a second to import: no other format should wait for it.
                from obscore_view.parquet import write_parquet  # noqa: PLC0415

            with _copy(connection, what, "csv") as copy:
                described = [(column.kind, column.field) for column in columns]
                return write_parquet(file, view, described, copy, compression=compression, progress=progress)


def _write_csv(connection: sa.Connection, view: _View, file: IO[bytes], progress: RowProgress | None) -> int:
    rows = 0
    with _copy(connection, view, "csv, HEADER", spelled=True) as copy:
        for block in copy:
            file.write(block)
            rows += 1
            if progress is not None and rows % _ROWS_AT_ONCE == 0:
                progress(rows)
    # PostgreSQL sends a row a block, and the header.
    return rows - 1


def _write_votable(
    connection: sa.Connection, view: _View, file: IO[bytes], progress: RowProgress | None
) -> int:
    rows = 0
    fields = [column.field for column in view.columns]

    def counted(cursor: psycopg.ServerCursor[Any]) -> Iterator[tuple[Any, ...]]:
        nonlocal rows
        for row in plain_rows(fields, cursor):
            yield row
            rows += 1
            if progress is not None and rows % _ROWS_AT_ONCE == 0:
                progress(rows)

    with driver_connection(connection).cursor(name="tapdb_export") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        load_exactly(cursor)
        cursor.execute(_query(view, spelled=False))
        document = Document(
            columns=written_fields(fields, None),
            name=f"{view.schema}.{view.name}",
            systems=SYSTEMS,
            references=REFERENCES,
        )
        write_votable(document, counted(cursor), file)
    return rows


@contextmanager
def _copy(
    connection: sa.Connection, view: _View, form: str, *, spelled: bool = False
) -> Iterator[psycopg.Copy]:
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT {})").format(
        _query(view, spelled=spelled), sql.SQL(form)
    )
    with driver_connection(connection).cursor() as cursor:
        # Texts and numbers must not depend on how the session is set.
        cursor.execute("SET LOCAL extra_float_digits = 1; SET LOCAL datestyle = 'ISO'")
        with cursor.copy(statement) as copy:
            yield copy


def _query(view: _View, *, spelled: bool) -> sql.Composed:
    """Return the query for all rows; spelled with truth and times as `tapdb.votable.text_of` writes them."""
    names = [_spelled(column) if spelled else sql.Identifier(column.name) for column in view.columns]
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(names), sql.Identifier(view.schema, view.name)
    )


def _spelled(column: ExportedColumn) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.is_moment:
        return sql.SQL("btrim(to_json({0})::text, '\"') AS {0}").format(name)
    return sql.SQL("{0}::text AS {0}").format(name) if column.kind == "boolean" else name
