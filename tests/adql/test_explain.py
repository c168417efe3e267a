"""Every translated query is one SELECT that PostgreSQL with pgSphere accepts."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings

from adql import (
    RUBIN,
    AdqlTypeError,
    CompiledQuery,
    Limits,
    Metadata,
    Server,
    metadata_from_rows,
    parse,
    to_postgres,
)
from tests.adql.felis_tables import felis_metadata
from tests.adql.published_tables import METADATA
from tests.adql.queries import good_queries
from tests.adql.sql_check import check_with_sqlglot
from tests.adql.typed_queries import typed_queries

Connection = psycopg.Connection[Any]


def rubin() -> Metadata:
    """Return what a service with Rubin's tables publishes."""
    return felis_metadata("dp1", "dp02_dc2", "ppdb", "ivoa_obscore")


def explain(connection: Connection, compiled: CompiledQuery) -> None:
    """Let the server plan a query, with its constants as parameters."""
    connection.execute("EXPLAIN " + compiled.sql, compiled.parameters)


@pytest.mark.parametrize("text", good_queries("rubin_queries.txt"))
def test_a_query_over_rubins_tables_is_accepted_by_the_server(text: str, rubin_database: Connection) -> None:
    query = parse(text, dialect=RUBIN)
    for server in (Server(), Server(inline=True)):
        compiled = to_postgres(query, rubin(), Limits(max_rows=1000), server=server)
        explain(rubin_database, compiled)
        check_with_sqlglot(compiled, rubin())
        assert len(compiled.parameters) == len(compiled.parameter_types)
        assert not (server.inline and compiled.parameters)


@pytest.mark.parametrize("text", good_queries("rubin_queries.txt"))
def test_the_result_has_the_columns_that_were_promised(text: str, rubin_database: Connection) -> None:
    compiled = to_postgres(parse(text, dialect=RUBIN), rubin())
    cursor = rubin_database.execute(compiled.sql, compiled.parameters)
    assert cursor.description is not None
    assert len(cursor.description) == len(compiled.columns)
    for column, promised in zip(cursor.description, compiled.columns, strict=True):
        assert _fits(column.type_display, promised.datatype, promised.arraysize, promised.xtype), promised


def _fits(display: str, datatype: str, arraysize: str | None, xtype: str | None) -> bool:
    if xtype in ("point", "circle", "polygon"):
        return display == "float8[]"
    if xtype == "timestamp":
        return display.startswith("timestamp")
    if datatype in ("char", "unicodeChar"):
        return display.startswith(("text", "varchar", "bpchar", "uuid"))
    return arraysize is None and display in {
        "boolean": ("bool",),
        "short": ("int2",),
        "int": ("int4",),
        "long": ("int8",),
        "float": ("float4",),
        "double": ("float8",),
    }.get(datatype, ())


@pytest.mark.parametrize("line", good_queries("results.txt"))
def test_a_query_over_the_small_service_is_one_select_for_another_parser(line: str) -> None:
    query = parse(line.partition(" | ")[2], dialect=RUBIN)
    for server in (Server(), Server(inline=True)):
        check_with_sqlglot(to_postgres(query, METADATA, server=server), METADATA)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_sleep(1)",
        "SELECT generate_series(1, 2)",
        "SELECT current_setting('x')",
        "SELECT 1 FROM pg_authid",
        "SELECT 1; SELECT 2",
        'DELETE FROM cat."Object"',
        'SELECT 1 INTO x FROM cat."Object"',
        'SELECT 1 FROM cat."Object" FOR UPDATE',
        'SELECT spoly(1) FROM cat."Object"',
    ],
)
def test_sql_that_is_not_ours_would_be_noticed(sql: str) -> None:
    with pytest.raises(AssertionError):
        check_with_sqlglot(CompiledQuery(sql, (), (), ()), METADATA)


@given(text=typed_queries())
@settings(max_examples=120)
def test_any_query_that_passes_the_check_is_accepted_by_the_server(
    text: str, small_database: Connection
) -> None:
    for server in (Server(), Server(inline=True)):
        compiled = _compiled_unless_a_literal_is_out_of_range(text, server)
        if compiled is None:
            return
        check_with_sqlglot(compiled, METADATA)
        # 1 / 0 and the like are computed when the query is planned; nothing else may go wrong.
        with contextlib.suppress(psycopg.DataError):
            explain(small_database, compiled)


def _compiled_unless_a_literal_is_out_of_range(text: str, server: Server) -> CompiledQuery | None:
    try:
        return to_postgres(parse(text), METADATA, server=server)
    except AdqlTypeError as error:
        # No longitude, or a polygon that crosses itself.
        expected = ("is not between", "polygon", "circle", "is a latitude", "box of 180")
        if any(word in error.problem for word in expected):
            return None
        raise


def test_all_queries_of_one_shape_are_one_text() -> None:
    shapes = set()
    for ra, dec, radius, flux in ((1, 2, 3, 4), (1.5, -2.5, 0.001, -4.25), (-0.1, 89, 1 / 3, 1e6)):
        text = (
            f"SELECT objectId FROM cat.Object WHERE CONTAINS(POINT(coord_ra, coord_dec), "
            f"CIRCLE({ra}, {dec}, {radius})) = 1 AND psfFlux > {flux} AND band = 'r'"
        )
        compiled = to_postgres(parse(text), METADATA)
        shapes.add((compiled.sql, compiled.parameter_types))
        assert compiled.parameters == (ra, dec, radius, flux, "r")
    assert len(shapes) == 1


def test_lists_of_all_lengths_are_one_text() -> None:
    texts = {
        to_postgres(
            parse(f"SELECT band FROM cat.Object WHERE objectId IN ({', '.join(map(str, range(count)))})"),
            METADATA,
        ).sql
        for count in (2, 3, 500)
    }
    assert len(texts) == 1


def test_polygons_of_all_sizes_are_one_text() -> None:
    polygons = ("0, 0, 1, 0, 1, 1", "0, 0, 1, 0, 1, 1, 0, 1")
    texts = {
        to_postgres(
            parse(f"SELECT band FROM cat.Object WHERE CONTAINS(pos, POLYGON({polygon})) = 1"),
            METADATA,
        ).sql
        for polygon in polygons
    }
    assert len(texts) == 1


def test_the_limit_is_the_smaller_of_top_and_maxrec_and_one_row_more_than_maxrec() -> None:
    def limit(text: str, max_rows: int | None) -> str:
        return to_postgres(parse(text), METADATA, Limits(max_rows=max_rows)).sql.partition(" LIMIT ")[2]

    assert limit("SELECT band FROM cat.Object", None) == ""
    assert limit("SELECT band FROM cat.Object", 100) == "101"
    assert limit("SELECT TOP 5 band FROM cat.Object", 100) == "5"
    assert limit("SELECT TOP 500 band FROM cat.Object", 100) == "101"
    assert limit("SELECT TOP 5 band FROM cat.Object OFFSET 3", None) == "5 OFFSET 3"
    assert limit("SELECT band FROM cat.Object UNION SELECT band FROM cat.Source", 100) == "101"
    assert limit("SELECT q.band FROM (SELECT TOP 500 band FROM cat.Object) AS q", 100) == (
        '500) AS "q" LIMIT 101'
    )


@pytest.mark.parametrize("version", [(1, 2, 0), (1, 3, 1), (1, 4, 0), (1, 5, 1)])
def test_a_newer_function_of_pgsphere_is_used_only_when_the_server_has_it(
    version: tuple[int, int, int],
) -> None:
    cone = "SELECT band FROM cat.Object WHERE DISTANCE(coord_ra, coord_dec, 1, 2) < 0.1"
    server = Server(pgsphere=version)
    is_new = version >= (1, 4, 0)
    assert ("spoint_dwithin(" in to_postgres(parse(cone), METADATA, server=server).sql) == is_new


@pytest.mark.parametrize(
    "text",
    [
        "SELECT AREA(COALESCE(s_region, s_region)) FROM ivoa.ObsCore",
        "SELECT AREA(q.s_region) FROM (SELECT DISTINCT s_region FROM ivoa.ObsCore) AS q",
        "SELECT AREA(q.s_region) FROM (SELECT MAX(s_region) AS s_region FROM ivoa.ObsCore) AS q",
        "SELECT AREA(s_region) FROM ivoa.ObsCore AS a FULL JOIN ivoa.ObsCore AS b USING (s_region)",
        "SELECT AREA(r) FROM (SELECT s_region r FROM obscore UNION ALL SELECT s_region FROM obscore) q",
    ],
)
def test_text_is_no_region_where_the_database_has_no_geometry_beside_it(text: str) -> None:
    with pytest.raises(AdqlTypeError, match="holds no geometry for it"):
        to_postgres(parse(text), METADATA)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT REGION('PositionInterval ICRS 1 2 3 4') AS r FROM ivoa.ObsCore",
        "SELECT obs_id FROM ivoa.ObsCore ORDER BY REGION('PositionInterval 1 2 3 4')",
    ],
)
def test_what_lies_between_parallels_is_no_value(text: str) -> None:
    with pytest.raises(AdqlTypeError, match="a PositionInterval is no value"):
        to_postgres(parse(text), METADATA)


def test_advice_on_a_region_that_is_text_alone_depends_on_where_it_stands() -> None:
    columns = [{"table_name": "s.patches", "column_name": "s_region", "datatype": "char", "arraysize": "*"}]
    patches = metadata_from_rows([{"table_name": "s.patches"}], columns)
    with pytest.raises(AdqlTypeError, match="use columns with numbers"):
        to_postgres(parse("SELECT AREA(s_region) FROM s.patches"), patches)
    with pytest.raises(AdqlTypeError, match="column of the table itself"):
        to_postgres(parse("SELECT AREA(r) FROM (SELECT DISTINCT s_region AS r FROM obscore) AS q"), METADATA)
