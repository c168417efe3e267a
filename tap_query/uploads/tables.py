"""Makes uploads temporary tables: one pass over the file, statistics, and an index where there are positions.

A table lives as long as the transaction in which it is made. No name comes twice: no plan that a connection
has prepared is of the table of another request.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import psycopg
from psycopg import sql

from adql import TableMetadata
from tap_query.errors import UploadError, UploadTooLargeError
from tap_query.uploads.transfer import Computed, Sent, UploadColumn, stored_position, upload_column
from tapdb.errors import ValueReadError
from tapdb.postgres.engine import refusal
from tapdb.votable.first_table import ReadLimits, VotableError, VotableLimitError, VotableReader

_SCHEMA = "pg_temp"
_CREATE = sql.SQL("CREATE TEMPORARY TABLE {table} ({columns}) ON COMMIT DROP")
_COLUMN = sql.SQL("{name} {type}")
_ALTER = sql.SQL("ALTER TABLE {table} {columns}")
_ADD = sql.SQL("ADD COLUMN {name} {type} GENERATED ALWAYS AS ({expression}) STORED")
_COPY = sql.SQL("COPY {table} ({names}) FROM STDIN (FORMAT binary)")
_INDEX = sql.SQL("CREATE INDEX ON {table} USING gist ({name})")
_ANALYZE = sql.SQL("ANALYZE {table}")
_COMMA = sql.SQL(", ")

# Errors of values and of what a row can hold; pg_sphere gives its own no code.
_OF_THE_TABLE = ("22", "54", "XX000")
_LINE = re.compile(r"line (\d+)")
_LONGEST_NAME = 256

_Values = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """How much one request may bring.

    Parameters
    ----------
    max_tables
        Number of tables.
    max_bytes
        Size of the XML of one table, unpacked.
    max_rows, max_columns
        Size of one table; PostgreSQL has at most 1,600 columns, and geometries take up to three.
    max_row_bytes
        Size of one row in the file, and of any tag.
    """

    max_tables: int = 10
    max_bytes: int = 200_000_000
    max_rows: int = 1_000_000
    max_columns: int = 500
    max_row_bytes: int = 2_000_000


def create_uploads(
    connection: psycopg.Connection[Any],
    files: Mapping[str, IO[bytes]],
    limits: UploadLimits = UploadLimits(),
) -> tuple[TableMetadata, ...]:
    """Make tables of uploads, for the transaction that is open or begins here.

    Parameters
    ----------
    connection
        Connection of the request. Its transaction may write; a `tap_query.execute.Session` may make it read
        only afterwards.
    files
        A VOTable for each name after ``TAP_UPLOAD.``, in any serialization that is in the file itself, as it
        is or packed by gzip.
    limits
        How large they may be.

    Returns
    -------
    tables
        What queries can name, for `adql.Metadata.with_tables`.

    Raises
    ------
    UploadError
        Raised if a file is no VOTable or has what no table can have; the transaction has to be rolled back.
    UploadTooLargeError
        Raised if there is more than the limits allow.
    DatabaseRefusedError
        Raised if the user may make no temporary tables, or the transaction is read only.
    """
    if len(files) > limits.max_tables:
        raise UploadTooLargeError(
            "UPLOAD", f"it names {len(files)} tables, and {limits.max_tables} are the most"
        )
    return tuple(_create(connection, name, file, limits) for name, file in files.items())


def _create(
    connection: psycopg.Connection[Any], name: str, file: IO[bytes], limits: UploadLimits
) -> TableMetadata:
    reading = ReadLimits(
        max_bytes=limits.max_bytes,
        max_rows=limits.max_rows,
        max_columns=limits.max_columns,
        max_row_bytes=limits.max_row_bytes,
    )
    reader = VotableReader(file, limits=reading, seen=_refuse_failed_results, unpacks=True)
    with _named(name):
        rows = reader.rows()
        first = list(_first(rows))
        columns = _columns(name, reader)
        sql_name = f"upload_{secrets.token_hex(8)}"
        position = stored_position(columns)
        computed = [column.computed for column in columns if column.computed is not None]
        computed += [position[1]] if position is not None else []
        sent = [(place, one) for place, column in enumerate(columns) for one in column.sent]
        table = sql.Identifier(_SCHEMA, sql_name)
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(_CREATE.format(table=table, columns=_sent_columns(sent)))
            _copy(cursor, table, sent, chain(first, rows), name)
            if computed:
                # PostgreSQL refuses COPY in binary form where a column has one of pg_sphere's types.
                cursor.execute(_ALTER.format(table=table, columns=_computed_columns(computed)))
            for one in computed:
                cursor.execute(_INDEX.format(table=table, name=sql.Identifier(one.sql_name)))
            cursor.execute(_ANALYZE.format(table=table))
    return TableMetadata(
        name=("TAP_UPLOAD", name),
        columns=tuple(column.metadata for column in columns),
        sql_schema=_SCHEMA,
        sql_name=sql_name,
        is_upload=True,
        positions=() if position is None else (position[0],),
    )


def _first(rows: Iterator[_Values]) -> Iterator[_Values]:
    """Yield the first row, if there is one: all columns are known then."""
    for row in rows:
        yield row
        return


def _columns(name: str, reader: VotableReader) -> tuple[UploadColumn, ...]:
    fields = reader.columns()
    if not fields:
        raise UploadError(name, "it has no table with a FIELD")
    seen: set[str] = set()
    for number, field in enumerate(fields, 1):
        if not field.name.strip() or not field.name.isprintable() or len(field.name) > _LONGEST_NAME:
            raise UploadError(
                name, f"column {number} has the name {field.name[:60]!r}", "give it another one"
            )
        if field.name in seen:
            raise UploadError(name, f"two columns are called {field.name[:60]}", "rename one of them")
        seen.add(field.name)
    return tuple(upload_column(field, number) for number, field in enumerate(fields, 1))


def _sent_columns(sent: Iterable[tuple[int, Sent]]) -> sql.Composed:
    return _COMMA.join(
        _COLUMN.format(name=sql.Identifier(one.sql_name), type=sql.SQL(one.sql_type)) for _, one in sent
    )


def _computed_columns(computed: Iterable[Computed]) -> sql.Composed:
    return _COMMA.join(
        _ADD.format(name=sql.Identifier(one.sql_name), type=sql.SQL(one.sql_type), expression=one.expression)
        for one in computed
    )


def _copy(
    cursor: psycopg.Cursor[Any],
    table: sql.Identifier,
    sent: Sequence[tuple[int, Sent]],
    rows: Iterable[_Values],
    name: str,
) -> None:
    names = _COMMA.join(sql.Identifier(one.sql_name) for _, one in sent)
    makers = [(place, one.make) for place, one in sent]
    with cursor.copy(_COPY.format(table=table, names=names)) as copy:
        copy.set_types([one.wire_type for _, one in sent])
        for number, row in enumerate(rows, 1):
            try:
                copy.write_row(
                    [
                        row[place] if make is None or row[place] is None else make(row[place])
                        for place, make in makers
                    ]
                )
            except ValueError as error:
                raise _value_error(name, number, row, sent, error) from error


def _value_error(
    name: str, number: int, row: _Values, sent: Iterable[tuple[int, Sent]], error: ValueError
) -> UploadError:
    """Return an error that names the value that could not be made."""
    for place, one in sent:
        try:
            if one.make is not None and row[place] is not None:
                one.make(row[place])
        except ValueError as found:
            shown = str(row[place])[:60]
            return UploadError(
                name, f"row {number}, column {place + 1}: {shown!r} is no {one.sql_type}", str(found)
            )
    return UploadError(name, f"row {number}: {error}")


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Give errors of the file and of the database the name of the upload."""
    try:
        yield
    except VotableLimitError as error:
        raise UploadTooLargeError(name, error.problem) from error
    except VotableError as error:
        raise UploadError(name, error.problem) from error
    except ValueReadError as error:
        raise UploadError(name, f"{error.what}: {error.problem}") from error
    except psycopg.Error as error:
        said = error.diag
        if not (error.sqlstate or "").startswith(_OF_THE_TABLE):
            raise refusal(error, f"making a table of upload {name}") from error
        line = _LINE.search(said.context or "")
        where = f"row {line[1]}: " if line else ""
        raise UploadError(name, f"{where}{said.message_primary}") from error


def _refuse_failed_results(path: Sequence[str], attributes: Mapping[str, str]) -> None:
    """Refuse what another service could not finish: rows may be missing."""
    if (
        path[-1] == "INFO"
        and attributes.get("name") == "QUERY_STATUS"
        and attributes.get("value", "").upper() == "ERROR"
    ):
        raise VotableError("it is a result whose query failed (QUERY_STATUS): rows may be missing")
