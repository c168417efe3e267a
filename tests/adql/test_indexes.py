"""The plans of spatial queries: each form that an index can serve is served by it."""

# Queries are the subject here; they are run only after translation.
# ruff: noqa: S608

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


# An upload of which several rows fit one object, and some are nowhere; each condition is
# written with EXISTS, and as that of a join.
NEAR = "DISTANCE(u.ra, u.dec, o.ra, o.dec) < {}"
FITS = {
    "a constant radius": NEAR.format(2),
    "a radius of the upload": NEAR.format("u.r"),
    "a radius of the catalogue": NEAR.format("o.mag / 10"),
    "a ring": "DISTANCE(u.ra, u.dec, o.ra, o.dec) BETWEEN 1 AND u.r",
    "a circle around the object": "1 = CONTAINS(POINT(u.ra, u.dec), CIRCLE(o.ra, o.dec, 1.5))",
    "other columns of both": f"{NEAR.format(2)} AND u.id < o.objectid AND u.id + o.mag > 22",
    "what is not near": "DISTANCE(u.ra, u.dec, o.ra, o.dec) > 179",
    "what is near or not": f"({NEAR.format(2)} OR o.objectid = u.id)",
}


@pytest.fixture(scope="module")
def doubles(catalogue: Connection) -> Connection:
    """Return the connection, with rows in the upload that lie together, beyond a pole, and nowhere."""
    catalogue.execute(
        "INSERT INTO upload SELECT id + 1000, ra + 0.5, dec, 3 FROM upload"
        " UNION ALL VALUES (9001, 10, 95, 5), (9002, NULL, 10, 5), (9003, 10, 10, NULL),"
        " (9004, CAST('NaN' AS float8), 10, 5)"
    )
    catalogue.execute("ANALYZE upload")
    return catalogue


@pytest.mark.parametrize("negated", ["", "NOT "], ids=["exists", "not exists"])
@pytest.mark.parametrize("fits", FITS)
def test_exists_over_an_upload_has_the_rows_of_a_join(fits: str, negated: str, doubles: Connection) -> None:
    few = "SELECT o.objectid FROM cat.Object AS o WHERE o.objectid <= 500 AND o.objectid {}"
    queries = (
        few.format(f"> 0 AND {negated}EXISTS (SELECT u.id FROM TAP_UPLOAD.mine AS u WHERE {FITS[fits]})"),
        few.format(
            f"{negated}IN (SELECT o.objectid FROM cat.Object AS o, TAP_UPLOAD.mine AS u"
            f" WHERE o.objectid <= 500 AND {FITS[fits]})"
        ),
    )
    found = [
        sorted(doubles.execute(compiled.sql, compiled.parameters).fetchall())
        for compiled in (to_postgres(parse(text), METADATA) for text in queries)
    ]
    assert found[0] == found[1]
    assert 0 < len(found[0]) < 500


def test_two_uploads_and_an_outer_join_keep_their_rows(doubles: Connection) -> None:
    near = "EXISTS (SELECT 1 FROM TAP_UPLOAD.mine AS u WHERE DISTANCE(u.ra, u.dec, o.ra, o.dec) < {})"
    text = (
        "SELECT COUNT(*), COUNT(DISTINCT o.objectid) FROM cat.Object AS c LEFT JOIN cat.Object AS o"
        " ON c.objectid = o.objectid + 1 AND c.objectid < 300"
        f" WHERE {near.format(2)} AND {near.format('u.r')} AND {near.format(2)} OR c.objectid = 30000"
    )
    alone = text.replace(" OR c.objectid = 30000", "")
    (with_or,), (rows,) = (
        doubles.execute(compiled.sql, compiled.parameters).fetchall()
        for compiled in (to_postgres(parse(of), METADATA) for of in (text, alone))
    )
    # Under OR nothing is joined: that is the query as it is written.
    assert rows[0] == rows[1] > 0
    assert with_or == (rows[0] + 1, rows[1])


def test_exists_over_many_uploads_stays_a_subquery_where_joins_would_be_too_many() -> None:
    near = "EXISTS (SELECT 1 FROM TAP_UPLOAD.mine AS u WHERE DISTANCE(u.ra, u.dec, o.ra, o.dec) < {})"
    few, many = (
        to_postgres(
            parse(
                "SELECT o.objectid FROM cat.Object AS o WHERE "
                + " AND ".join(near.format(number) for number in range(1, count))
            ),
            METADATA,
        ).sql
        for count in (4, 24)
    )
    assert "EXISTS" not in few
    assert "EXISTS" in many
