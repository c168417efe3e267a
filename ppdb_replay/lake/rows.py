"""Rows of the history as Arrow tables: read from PostgreSQL by DuckDB, with pixels and unit vectors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ppdb_replay.errors import PpdbRefusedError
from ppdb_replay.lake.contract import PIXEL, PIXEL_ORDER, VECTOR, LakeColumn, LakeTable
from ppdb_replay.lake.layout import is_text, typed_columns
from ppdb_replay.rewriting.version_catalog import SNAP_FROM, SNAP_TO
from ppdb_replay.snapshot import CURRENT
from ppdb_replay.versions.triggers import HISTORY
from tapdb.extras import from_extra

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

POSTGRES = "postgres_scanner"
"""Extension of DuckDB that this module needs."""

_SOURCE = "ppdb_source"
_OPTIONS = "-c row_security=off -c TimeZone=UTC -c DateStyle=ISO -c extra_float_digits=1"
_PADDED = re.compile(r"character(\((?P<length>[0-9]+)\))?")
_TURN = 360.0


class RowReader:
    """Reads rows of a database's history.

    Parameters
    ----------
    duck
        What `ppdb_replay.lake.opening.connected_duckdb` gives, with extension `POSTGRES`.
    connection
        Connection to the database: DuckDB makes its own in the same way.
    """

    def __init__(self, duck: DuckDBPyConnection, connection: psycopg.Connection[Any]) -> None:
        self._duck = duck
        self._password = connection.info.password
        parameters = {**connection.info.get_parameters(), "options": _options(connection)}
        conninfo = make_conninfo(**parameters, password=self._password or None)
        attach = sql.SQL("ATTACH {} AS {} (TYPE postgres, READ_ONLY)")
        with self._without_password():
            duck.execute(attach.format(sql.Literal(conninfo), sql.Identifier(_SOURCE)).as_string())

    def read(
        self, table: LakeTable, condition: sql.Composable, upto: int, *, batch: int
    ) -> Iterator[pa.Table]:
        """Give versions of a table as they were at a snapshot, in parts.

        Parameters
        ----------
        table
            The table.
        condition
            Which of them, as PostgreSQL writes it.
        upto
            The snapshot: versions that began later are left out, and those that ended later have not ended.
        batch
            Maximum number of rows of a part.

        Raises
        ------
        PpdbRefusedError
            Raised if the database refuses the query.
        """
        statement = _with_vector(table, _history_query(table, condition, upto))
        with self._without_password():
            reader = self._duck.cursor().execute(statement).to_arrow_reader(batch)
        for part in joined(self._parts(reader), batch):
            yield _placed(table, part)

    def _parts(self, reader: Any) -> Iterator[pa.Table]:
        import pyarrow as pa  # noqa: PLC0415 - as above

        with self._without_password():
            for one in reader:
                yield pa.Table.from_batches([one])

    @contextmanager
    def _without_password(self) -> Iterator[None]:
        import duckdb  # noqa: PLC0415 - as above

        try:
            yield
        except (duckdb.Error, OSError) as error:
            text = str(error)
            if self._password:
                text = text.replace(self._password, "***")
            raise PpdbRefusedError("reading the history for a lake", text) from None


def joined(parts: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the rows of parts in parts that have no fewer rows than wanted, but for the last.

    Parameters
    ----------
    parts
        Parts of a table.
    rows
        How many rows are wanted.
    """
    with from_extra("lake", "a lake"):
        import pyarrow as pa  # noqa: PLC0415 - 170 MB, for those who have a lake

    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(one.num_rows for one in waiting) >= rows:
            yield pa.concat_tables(waiting)
            waiting = []
    if any(one.num_rows for one in waiting):
        yield pa.concat_tables(waiting)


def _options(connection: psycopg.Connection[Any]) -> str:
    given = connection.info.get_parameters().get("options", "")
    return f"{given} {_OPTIONS}".strip()


def _history_query(table: LakeTable, condition: sql.Composable, upto: int) -> sql.Composable:
    columns = [_as_sent(one) for one in table.columns]
    ended = sql.SQL("CASE WHEN {0} > {1} THEN {2} ELSE {0} END AS {0}").format(
        sql.Identifier(SNAP_TO), sql.Literal(upto), sql.Literal(CURRENT)
    )
    return sql.SQL("SELECT {}, {}, {} FROM {} WHERE {} <= {} AND {}").format(
        sql.SQL(", ").join(columns),
        sql.Identifier(SNAP_FROM),
        ended,
        sql.Identifier(HISTORY, table.name),
        sql.Identifier(SNAP_FROM),
        sql.Literal(upto),
        condition,
    )


def _as_sent(column: LakeColumn) -> sql.Composable:
    """Return a column with the values that PostgreSQL sends: DuckDB would take blanks at their end away."""
    name = sql.Identifier(column.name)
    if is_text(column.data_type):
        return sql.SQL("{0}::text AS {0}").format(name)
    padded = _PADDED.fullmatch(column.data_type)
    if padded is None:
        return name
    return sql.SQL("rpad({0}::text, {1}) AS {0}").format(name, sql.Literal(int(padded["length"] or 1)))


# PostgreSQL's own functions give the same bits; NumPy's do not on all processors.
_VECTOR = (
    "cos(radians({lat}::DOUBLE)) * cos(radians({lon}::DOUBLE))",
    "cos(radians({lat}::DOUBLE)) * sin(radians({lon}::DOUBLE))",
    "sin(radians({lat}::DOUBLE))",
)


def _with_vector(table: LakeTable, query: sql.Composable) -> str:
    """Return a query of DuckDB for rows of PostgreSQL with their unit vectors."""
    source = sql.SQL("postgres_query({}, {})").format(sql.Literal(_SOURCE), sql.Literal(query.as_string()))
    if table.position is None:
        return sql.SQL("SELECT * FROM {}").format(source).as_string()
    lon, lat = map(sql.Identifier, table.position)
    is_placed = sql.SQL("isfinite({lon}) AND {lat} BETWEEN -90 AND 90").format(lon=lon, lat=lat)
    vector = sql.SQL(", ").join(
        sql.SQL("CASE WHEN {} THEN {} END AS {}").format(
            is_placed, sql.SQL(part).format(lon=lon, lat=lat), sql.Identifier(name)
        )
        for part, name in zip(_VECTOR, VECTOR, strict=True)
    )
    return sql.SQL("SELECT *, {} FROM {}").format(vector, source).as_string()


def _placed(table: LakeTable, rows: pa.Table) -> pa.Table:
    """Return rows with their pixels, and columns in the order of the lake's relations."""
    if table.position is not None:
        rows = rows.append_column(PIXEL, _pixels(rows, table.position))
    return with_uuids(table, rows.select(list(typed_columns(table))))


def with_uuids(table: LakeTable, rows: pa.Table) -> pa.Table:
    """Return rows with UUIDs as what they are: DuckDB hands on their text.

    Parameters
    ----------
    table
        The table.
    rows
        Its rows.
    """
    import pyarrow as pa  # noqa: PLC0415 - as above

    for name, kind in typed_columns(table).items():
        if kind == "UUID":
            values = (one if one is None else UUID(one).bytes for one in rows[name].to_pylist())
            made = pa.array(list(values), pa.uuid())
            rows = rows.set_column(rows.schema.get_field_index(name), name, made)
    return rows


def _pixels(rows: pa.Table, position: tuple[str, str]) -> pa.Array:
    """Return the pixels of positions (HEALPix: Gorski et al. 2005, ApJ 622, 759)."""
    import numpy as np  # noqa: PLC0415 - comes with pyarrow's users
    import pyarrow as pa  # noqa: PLC0415 - as above
    from astropy import units  # noqa: PLC0415 - takes a second, for those who write a lake
    from astropy.coordinates import Latitude, Longitude  # noqa: PLC0415 - as above
    from cdshealpix.nested import lonlat_to_healpix  # noqa: PLC0415 - as above

    missing = rows[VECTOR[0]].is_null().to_numpy()
    lon, lat = (
        np.where(missing, 0.0, rows[name].cast(pa.float64()).fill_null(0.0).to_numpy()) for name in position
    )
    found = lonlat_to_healpix(Longitude(np.mod(lon, _TURN), units.deg), Latitude(lat, units.deg), PIXEL_ORDER)
    return pa.array(found.astype(np.int64), mask=missing)
