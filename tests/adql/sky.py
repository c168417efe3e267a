"""A random catalogue in a database, and what astropy says of its points."""

# Statements are put together here, from constants.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import sqlalchemy as sa
from astropy.coordinates import angular_separation

from adql import ColumnMetadata, Metadata, Server, TableMetadata, parse, to_postgres
from adql.types import value_type

__all__ = [
    "CLOSE_DEG",
    "COUNT",
    "MATCHES",
    "METADATA",
    "Floats",
    "Sky",
    "Vertices",
    "make_sky",
    "separation",
    "vectors",
]

Connection = psycopg.Connection[Any]
Floats = npt.NDArray[np.float64]
Vertices = list[tuple[float, float]]

COUNT = 4000
MATCHES = 300
# pgSphere takes what differs by a nanoradian for the same; points so close to an edge prove nothing.
CLOSE_DEG = 2e-7

NUMBER = value_type("double", unit="deg")
METADATA = Metadata(
    tuple(
        TableMetadata(
            name=("sky", name),
            columns=(
                ColumnMetadata(name="id", type=value_type("int"), sql_name="id"),
                *(ColumnMetadata(name=of, type=NUMBER, sql_name=of) for of in columns),
                *(
                    ColumnMetadata(name=of, type=value_type("double", "*", xtype), sql_name=of)
                    for of, xtype in (("p", "point"), ("c", "circle"), ("f", "polygon"))
                ),
            ),
            sql_schema="sky",
            sql_name=name.lower(),
            is_upload=name == "Mine",
        )
        for name, columns in (("Points", ("ra", "dec", "r")), ("Mine", ("ra", "dec", "r")))
    )
)


@dataclass(frozen=True)
class Sky:
    """Points all over the sky, many where coordinates are awkward, and the database that holds them."""

    connection: Connection
    ra: Floats
    dec: Floats
    r: Floats
    server: Server
    """With the version of pgSphere that the database has: newer ones have other functions."""

    def ids(self, condition: str, server: Server | None = None) -> set[int]:
        """Return the points that a condition finds."""
        query = parse(f"SELECT id FROM sky.Points WHERE {condition}")
        compiled = to_postgres(query, METADATA, server=server or self.server)
        return {row[0] for row in self.connection.execute(compiled.sql, compiled.parameters)}

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        compiled = to_postgres(parse(text), METADATA, server=self.server)
        return self.connection.execute(compiled.sql, compiled.parameters).fetchall()

    def value(self, expression: str) -> Any:
        """Return the one value of an expression of constants."""
        return self.rows(f"SELECT TOP 1 {expression} AS v FROM sky.Points")[0][0]


@contextmanager
def make_sky(url: sa.URL) -> Iterator[Sky]:
    """Return a database with a random catalogue that is dense at the poles and where RA begins."""
    generator = np.random.default_rng(20261121)
    half = COUNT // 2
    ra = np.concatenate([generator.uniform(0, 360, half), generator.normal(0, 1, half) % 360])
    anywhere = np.degrees(np.arcsin(generator.uniform(-1, 1, half)))
    dense = generator.choice([-90.0, 90.0, 0.0, 45.0], half)
    dec = np.concatenate([anywhere, np.clip(dense + generator.normal(0, 1, half), -90, 90)])
    dec[-2:] = (-90.0, 90.0)
    r = generator.uniform(0, 5, COUNT)
    target = url.set(drivername="postgresql")
    with psycopg.connect(
        target.render_as_string(hide_password=False), autocommit=True, cursor_factory=psycopg.RawCursor
    ) as connection:
        connection.execute("CREATE SCHEMA sky")
        for table in ("points", "mine"):
            connection.execute(
                f"CREATE TABLE sky.{table} (id integer, ra double precision, dec double precision,"
                " r double precision, p spoint, c scircle, f spoly)"
            )
        with connection.cursor().copy("COPY sky.points (id, ra, dec, r) FROM STDIN") as copy:
            for number in range(COUNT):
                copy.write_row((number, float(ra[number]), float(dec[number]), float(r[number])))
        connection.execute(
            "UPDATE sky.points SET p = spoint(radians(ra), radians(dec)),"
            " c = scircle(spoint(radians(ra), radians(dec)), radians(r)),"
            " f = CAST('{(' || radians(ra) || ',' || radians(dec) * 0.9 || '),(' || radians(ra) + 0.02 || ','"
            " || radians(dec) * 0.9 || '),(' || radians(ra) || ','"
            " || radians(dec) * 0.9 + 0.02 || ')}' AS spoly)"
        )
        connection.execute(
            "INSERT INTO sky.mine SELECT * FROM sky.points ORDER BY id DESC LIMIT $1", (MATCHES,)
        )
        connection.execute("CREATE INDEX ON sky.points USING gist (spoint(radians(ra), radians(dec)))")
        connection.execute("ANALYZE")
        version = connection.execute(
            "SELECT CAST(string_to_array(extversion || '.0', '.') AS int[]) FROM pg_extension"
            " WHERE extname = 'pg_sphere'"
        ).fetchall()[0][0]
        yield Sky(connection, ra, dec, r, Server(pgsphere=tuple(version[:3])))


def separation(ra_1: Any, dec_1: Any, ra_2: Any, dec_2: Any) -> Floats:
    """Return distances in degrees, by astropy."""
    radians = (np.radians(angle) for angle in (ra_1, dec_1, ra_2, dec_2))
    return np.asarray(np.degrees(angular_separation(*radians)))


def vectors(ra: Any, dec: Any) -> Floats:
    """Return unit vectors."""
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
