"""One table in PostgreSQL and in DuckDB, with values of each type on which engines differ."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import astropy.units as u
import duckdb
import numpy as np
import psycopg
import pyarrow as pa
from astropy.coordinates import Latitude, Longitude
from cdshealpix.nested import lonlat_to_healpix

from adql import RUBIN, AdqlError, Limits, Metadata, OutputColumn, Server, parse, to_postgres
from adql.backends.lake.duckdb import DUCKDB
from adql.backends.lake.engine import LakeRelation, LakeView
from adql.backends.lake.query import LakeQuery, to_lake
from adql.metadata import UserFunction, metadata_from_rows
from adql.types import DOUBLE
from tapdb.postgres.engine import load_exactly
from tapdb.votable import plain_rows

__all__ = ["Answer", "Twin", "make_twin", "sky_columns"]

_COLUMNS = {
    "id": ("bigint", "long", pa.int64()),
    "i2": ("smallint", "short", pa.int16()),
    "i4": ("integer", "int", pa.int32()),
    "i8": ("bigint", "long", pa.int64()),
    "f4": ("real", "float", pa.float32()),
    "f8": ("double precision", "double", pa.float64()),
    "flag": ("boolean", "boolean", pa.bool_()),
    "band": ("char(1)", "char", pa.string()),
    "code": ("char(6)", "char", pa.string()),
    "name": ("text", "char", pa.string()),
    "t": ("timestamp", "char", pa.timestamp("us")),
    "ra": ("double precision", "double", pa.float64()),
    "dec": ("double precision", "double", pa.float64()),
}
_SIZES = {"band": "1", "code": "6", "name": "*", "t": "*"}
_REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.5, 1e-5, 4.9999999999999996e-05, 123456.789, 1e15 + 0.5)
_ODD = (math.nan, math.inf, -math.inf, 1e22, -1e-300, 5e-324, 1.7e308, 2147483647.5, -32768.5, 9.3e18)
_EPOCH = datetime(2024, 1, 1)  # noqa: DTZ001  a timestamp without a time zone
_TEXTS = ("", "a", "B", "ab", "é", "ß", "a_b", "10%", "back\\slash", " x ", "Zz", "x'y")
FUNCTIONS = (
    UserFunction(
        "twice", ("numeric",), DOUBLE, ("(2 * ", 0, ")"), is_pure=True, elsewhere={"duckdb": ("2 * ", 0)}
    ),
    UserFunction("here_alone", ("numeric",), DOUBLE, ("(2 * ", 0, ")"), is_pure=True),
)


def _metadata(*tables: str) -> Metadata:
    """Return what is published: the columns under each name."""
    columns = [
        {
            "table_name": f"cat.{table}",
            "column_name": name,
            "datatype": datatype,
            "arraysize": _SIZES.get(name),
            "xtype": "timestamp" if name == "t" else None,
            "unit": "deg" if name in ("ra", "dec") else None,
        }
        for table in tables
        for name, (_, datatype, _) in _COLUMNS.items()
    ]
    return metadata_from_rows([{"table_name": f"cat.{of}"} for of in tables], columns, functions=FUNCTIONS)


@dataclass(frozen=True)
class Answer:
    """Columns, and rows of values that tell all bits."""

    columns: tuple[OutputColumn, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Twin:
    """Two engines with the same rows."""

    postgres: psycopg.Connection[Any]
    lake: duckdb.DuckDBPyConnection
    store: LakeView
    metadata: Metadata

    def in_postgres(self, text: str) -> Answer:
        """Return what PostgreSQL answers, sums being exact."""
        compiled = to_postgres(
            parse(text, dialect=RUBIN), self.metadata, Limits(), server=Server(exact_sums=True)
        )
        with psycopg.RawCursor(self.postgres) as cursor:
            load_exactly(cursor)
            found = cursor.execute(compiled.sql.encode(), compiled.parameters).fetchall()
        return Answer(compiled.columns, _bits(compiled.columns, found))

    def translated(self, text: str, **changes: Any) -> LakeQuery:
        """Return the query for the lake."""
        return to_lake(parse(text, dialect=RUBIN), self.metadata, replace(self.store, **changes))

    def in_lake(self, text: str, **changes: Any) -> Answer:
        """Return what DuckDB answers."""
        compiled = self.translated(text, **changes)
        return Answer(compiled.columns, _bits(compiled.columns, self.lake.execute(compiled.sql).fetchall()))

    def outcome(self, text: str) -> str:
        """Return ``same``, ``different``, ``refused``, or ``stopped`` if PostgreSQL stops with an error."""
        try:
            compiled = self.translated(text)
        except AdqlError:
            return "refused"
        try:
            expected = self.in_postgres(text)
        except psycopg.Error:
            return "stopped"
        found = _bits(compiled.columns, self.lake.execute(compiled.sql).fetchall())
        if any(word in text for word in ("GROUP BY", "UNION", "EXCEPT", "INTERSECT")):
            # Which of 0 and -0 a group of both shows depends on the order of rows, in PostgreSQL too.
            expected, found = Answer(expected.columns, _zeros(expected.rows)), _zeros(found)
        return "same" if expected == Answer(compiled.columns, found) else "different"


def _bits(columns: tuple[OutputColumn, ...], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows in which numbers are as they are in a result, with all their bits and the sign of 0."""
    return [
        tuple(
            np.float32(value).tobytes()
            if column.datatype == "float" and value is not None and not math.isnan(value)
            else repr(value)
            for column, value in zip(columns, row, strict=True)
        )
        for row in plain_rows(columns, rows)
    ]


def _zeros(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows with 0 in place of -0."""
    same = {"-0.0": "0.0", np.float32(-0.0).tobytes(): np.float32(0.0).tobytes()}
    return [tuple(same.get(cell, cell) for cell in row) for row in rows]


def make_twin(postgres: psycopg.Connection[Any], *, rows: int = 200) -> Twin:
    """Return both with a table of random rows."""
    dice = random.Random(20)
    made = [_row(dice, number) for number in range(rows)]
    postgres.execute("CREATE SCHEMA cat")
    declared = ", ".join(f'"{name}" {type_}' for name, (type_, _, _) in _COLUMNS.items())
    postgres.execute(f"CREATE TABLE cat.things ({declared})".encode())
    with postgres.cursor().copy("COPY cat.things FROM STDIN") as copy:
        for row in made:
            copy.write_row(list(row.values()))
    # What PostgreSQL has made of them: text is padded.
    lake = duckdb.connect()
    lake.execute("SET TimeZone = 'UTC'; SET threads = 2; CREATE SCHEMA lake")
    read = postgres.execute("SELECT * FROM cat.things").fetchall()
    names = list(_COLUMNS)
    arrays = [
        pa.array([row[at] for row in read], type_) for at, (_, _, type_) in enumerate(_COLUMNS.values())
    ]
    places = sky_columns(*([row[names.index(of)] for row in read] for of in ("ra", "dec")))
    lake.register("rows", pa.table([*arrays, *places], [*names, "_healpix_29", "_x", "_y", "_z"]))
    lake.execute("CREATE TABLE lake.things AS SELECT * FROM rows")
    relations = {
        ("cat", table): LakeRelation(("lake", table), ("ra", "dec")) for table in ("things", "edges")
    }
    return Twin(
        postgres,
        lake,
        LakeView(engine=DUCKDB, relations=relations, exact_sums=True),
        _metadata("things", "edges", "elsewhere"),
    )


def sky_columns(longitudes: list[float | None], latitudes: list[float | None]) -> list[pa.Array]:
    """Return pixels and unit vectors, NULL for what is nowhere."""
    lon, lat = (np.array(values, dtype=float) for values in (longitudes, latitudes))
    bad = ~(np.isfinite(lon) & (np.abs(lat) <= 90))
    lon, lat = np.where(bad, 0, lon), np.where(bad, 0, lat)
    pixels = lonlat_to_healpix(Longitude(lon * u.deg), Latitude(lat * u.deg), 29)
    a, b = np.radians(lon), np.radians(lat)
    vectors = (np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b))
    return [pa.array(of, mask=bad) for of in (pixels.astype(np.int64), *vectors)]


def _row(dice: random.Random, number: int) -> dict[str, Any]:
    odd = number % 10 == 0

    def real() -> float:
        if odd and dice.random() < 0.5:
            return dice.choice(_ODD)
        return dice.choice((dice.choice(_REALS), dice.uniform(-10, 10), dice.lognormvariate(0, 5)))

    single = float(np.float32(min(max(real(), -3e38), 3e38)))
    values: dict[str, Any] = {
        "i2": dice.choice((0, 1, -1, 7, 32767, -32768, dice.randint(-9, 9))),
        "i4": dice.choice((0, 1, -3, dice.randint(-9, 9), dice.randint(-40000, 40000))),
        "i8": dice.choice((0, 5, 2**53 + 1, dice.randint(-9, 9), dice.randint(-(10**9), 10**9))),
        "f4": single,
        "f8": real(),
        "flag": dice.random() < 0.5,
        "band": dice.choice("ugrizy "),
        "code": dice.choice(_TEXTS)[:6],
        "name": dice.choice(_TEXTS),
        "t": _EPOCH + timedelta(seconds=dice.randint(0, 10**8), microseconds=dice.choice((0, 120000))),
        "ra": dice.choice((dice.uniform(0, 360), dice.uniform(9, 11), 0.0, 360.0, -0.5)),
        "dec": dice.choice((dice.uniform(-90, 90), dice.uniform(-1, 1), 90.0, -90.0, 95.0 if odd else 0.0)),
    }
    for name in values:
        if dice.random() < 0.08:
            values[name] = None
    return {"id": number, **values}
