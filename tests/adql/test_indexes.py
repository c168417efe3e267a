"""The plans of spatial queries: each form that an index can serve is served by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from adql import ColumnMetadata, CompiledQuery, Metadata, Server, TableMetadata, parse, to_postgres
from adql.metadata import Position
from adql.types import value_type
from tests.adql.queries import good_queries, queries_by_section

Connection = psycopg.Connection[Any]
Plan = dict[str, Any]

SETUP = Path(__file__).parent / "data" / "catalogue.sql"


def columns(*names: str, datatype: str = "double") -> tuple[ColumnMetadata, ...]:
    """Return columns of one type."""
    return tuple(ColumnMetadata(name=name, type=value_type(datatype), sql_name=name) for name in names)


REGION = ColumnMetadata(
    name="s_region",
    type=value_type("char", "*", "adql:REGION"),
    sql_name="s_region",
    region_column="pgs_region",
    center_column="pgs_center",
)
METADATA = Metadata(
    (
        TableMetadata(
            name=("cat", "Object"),
            columns=(
                *columns("objectid", datatype="long"),
                *columns("ra", "dec"),
                *columns("mag", datatype="float"),
                ColumnMetadata(name="name", type=value_type("char", "*"), sql_name="name"),
            ),
            sql_schema=None,
            sql_name="object",
        ),
        TableMetadata(
            name=("ivoa", "ObsCore"),
            columns=(
                ColumnMetadata(name="obs_id", type=value_type("char", "*"), sql_name="obs_id"),
                *columns("s_ra", "s_dec"),
                REGION,
            ),
            sql_schema=None,
            sql_name="obscore",
            positions=(Position("s_ra", "s_dec", "pgs_center"),),
        ),
        TableMetadata(
            name=("TAP_UPLOAD", "mine"),
            columns=columns("id", "ra", "dec", "r"),
            sql_schema=None,
            sql_name="upload",
            is_upload=True,
        ),
    )
)

INDEXED = queries_by_section("indexed.txt")


@pytest.fixture(scope="module")
def catalogue(clone_for_session: Callable[[str], sa.URL], template_database: str) -> Iterator[Connection]:
    """Return a connection to a database with indexed catalogues."""
    url = clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(
        url.render_as_string(hide_password=False), autocommit=True, cursor_factory=psycopg.RawCursor
    ) as connection:
        psycopg.ClientCursor(connection).execute(SETUP.read_bytes())
        yield connection


def plan_of(connection: Connection, compiled: CompiledQuery) -> Plan:
    """Return the plan of a query."""
    row = connection.execute("EXPLAIN (FORMAT JSON) " + compiled.sql, compiled.parameters).fetchone()
    assert row is not None
    plan: Plan = row[0][0]["Plan"]
    return plan


def indexes_of(plan: Plan) -> set[str]:
    """Return the indexes that a plan uses."""
    own = {plan["Index Name"]} if "Index Name" in plan else set()
    return own.union(*(indexes_of(inner) for inner in plan.get("Plans", ())))


@pytest.mark.parametrize("inline", [False, True], ids=["parameters", "inline"])
@pytest.mark.parametrize(("index", "text"), INDEXED)
def test_a_form_that_an_index_can_serve_is_served_by_it(
    index: str, text: str, catalogue: Connection, *, inline: bool
) -> None:
    compiled = to_postgres(parse(text), METADATA, server=Server(inline=inline))
    assert index in indexes_of(plan_of(catalogue, compiled))


@pytest.mark.parametrize(("index", "text"), INDEXED)
def test_a_generic_plan_uses_the_index_too(index: str, text: str, catalogue: Connection) -> None:
    compiled = to_postgres(parse(text), METADATA)
    types = ", ".join(compiled.parameter_types)
    prepare = f"PREPARE shape ({types}) AS {compiled.sql}" if types else f"PREPARE shape AS {compiled.sql}"
    arguments = ", ".join("NULL" for _ in compiled.parameters)
    catalogue.execute("SET plan_cache_mode = force_generic_plan")
    try:
        catalogue.execute(prepare)
        execute = f"EXECUTE shape ({arguments})" if arguments else "EXECUTE shape"
        row = catalogue.execute("EXPLAIN (FORMAT JSON) " + execute).fetchone()
        catalogue.execute("DEALLOCATE shape")
    finally:
        catalogue.execute("RESET plan_cache_mode")
    assert row is not None
    assert index in indexes_of(row[0][0]["Plan"])


@pytest.mark.parametrize("text", good_queries("not_indexed.txt"))
def test_a_form_that_no_index_can_serve_is_a_sequential_scan(text: str, catalogue: Connection) -> None:
    assert not indexes_of(plan_of(catalogue, to_postgres(parse(text), METADATA)))


def test_a_crossmatch_is_driven_from_the_upload(catalogue: Connection) -> None:
    for index, text in INDEXED:
        if "TAP_UPLOAD" not in text or index != "object_position":
            continue
        plan = plan_of(catalogue, to_postgres(parse(text), METADATA))
        assert plan["Node Type"] == "Nested Loop"
        outer, _ = plan["Plans"]
        assert outer["Relation Name"] == "upload"
