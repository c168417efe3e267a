"""Sums of floating-point numbers after rows have moved and under other plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from adql import Metadata, Server, parse, to_postgres
from tests.ppdb_replay.small_catalog import published

GROUPS = 1000
METADATA = Metadata((published("s", "t", columns={"part": "int", "flux": "double", "flux32": "float"}),))
QUERY = parse(
    "SELECT part, SUM(flux) AS total, AVG(flux) AS mean, SUM(flux32) AS single FROM s.t GROUP BY part"
)

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def fluxes(clone_for_session: Any, template_database: str) -> Iterator[Connection]:
    """Return a database with a thousand groups of fluxes of very different sizes."""
    url: sa.URL = clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA s")
        connection.execute("CREATE TABLE s.t (part int, flux double precision, flux32 real)")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            "INSERT INTO s.t SELECT mod(i, 1000), exp(12 * random()) - 30, exp(12 * random()) - 30"
            " FROM generate_series(1, 200000) AS i"
        )
        connection.execute("ANALYZE s.t")
        yield connection


def sums(connection: Connection, *, exact: bool) -> dict[int, tuple[Any, ...]]:
    compiled = to_postgres(QUERY, METADATA, server=Server(exact_sums=exact))
    rows = psycopg.RawCursor(connection).execute(compiled.sql, compiled.parameters).fetchall()
    assert len(rows) == GROUPS
    return {row[0]: row[1:] for row in rows}


def parallel(connection: Connection) -> None:
    for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
        connection.execute(f"SET LOCAL {setting} = 0")
    connection.execute("SET LOCAL max_parallel_workers_per_gather = 2")


def reordered(connection: Connection) -> None:
    connection.execute("CREATE TEMPORARY TABLE moved ON COMMIT DROP AS SELECT * FROM s.t ORDER BY random()")
    connection.execute("TRUNCATE s.t")
    connection.execute("INSERT INTO s.t SELECT * FROM moved")


@pytest.mark.parametrize("change", [parallel, reordered])
def test_a8_exact_sums_are_the_same_to_the_last_bit(change: Any, fluxes: Connection) -> None:
    exact, plain = (sums(fluxes, exact=mode) for mode in (True, False))
    with fluxes.transaction(force_rollback=True):
        change(fluxes)
        assert sums(fluxes, exact=True) == exact
        # The control: others are not.
        later = sums(fluxes, exact=False)
    different = sum(later[group] != plain[group] for group in plain)
    assert different > GROUPS / 10


def test_exact_sums_are_as_near_as_others(fluxes: Connection) -> None:
    exact, plain = (sums(fluxes, exact=mode) for mode in (True, False))
    for group, values in exact.items():
        assert values == pytest.approx(plain[group], rel=1e-11)
