"""Queries that clients of ObsCore send, over the view as it is served: right rows, by an index."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from lsst.sphgeom import DISJOINT, Angle, Circle, ConvexPolygon, LonLat, UnitVector3d

from adql import (
    AdqlLimitError,
    CompiledQuery,
    Limits,
    Metadata,
    Server,
    metadata_from_rows,
    parse,
    to_postgres,
)
from adql.metadata import COLUMN_FIELDS
from obscore_view.columns import OBSCORE_COLUMNS
from tap_query.metadata import published_metadata

Row = dict[str, Any]

# The first visit of the demonstration's repository.
RA, DEC = 0.1, -0.2
HIDDEN = frozenset({"pgs_region", "pgs_center"})


@dataclass(frozen=True)
class Service:
    """The view, what TAP_SCHEMA would say of it, and its rows."""

    connection: psycopg.Connection[Any]
    metadata: Metadata
    rows: tuple[Row, ...]

    def compiled(self, condition: str, server: Server) -> CompiledQuery:
        """Return a search with a condition for the server."""
        text = f"SELECT obs_publisher_did, s_region FROM ivoa.ObsCore WHERE {condition}"
        return to_postgres(parse(text), self.metadata, Limits(max_rows=1000), server=server)

    def found(self, condition: str, server: Server) -> list[str]:
        """Return the identifiers of the rows that a condition finds."""
        compiled = self.compiled(condition, server)
        with psycopg.RawCursor(self.connection) as cursor:
            return sorted(did for did, _ in cursor.execute(compiled.sql.encode(), compiled.parameters))

    def plan(self, condition: str, server: Server) -> list[Row]:
        """Return the nodes of the plan; small tables are no reason to read all of them."""
        compiled = self.compiled(condition, server)
        with psycopg.RawCursor(self.connection) as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(b"EXPLAIN (FORMAT JSON) " + compiled.sql.encode(), compiled.parameters)
            ((plan,),) = cursor.fetchall()
            cursor.execute("SET LOCAL enable_seqscan = on")
        loaded = json.loads(plan) if isinstance(plan, str) else plan
        return list(_nodes(loaded[0]["Plan"]))


def _nodes(plan: Row) -> Iterator[Row]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@pytest.fixture
def service(view_connection_readonly: sa.Connection) -> Service:
    """Return the view over a small repository, published as `obscore_view.columns` describes it."""
    driver = view_connection_readonly.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM ivoa.obscore").fetchall()
    existing = list(rows[0])
    columns = [
        {
            "table_name": "ivoa.ObsCore",
            "column_name": column.name,
            **{name: getattr(column, name) for name in ("datatype", "arraysize", "xtype", "unit", "ucd")},
        }
        for column in OBSCORE_COLUMNS
        if column.name in existing and column.name not in HIDDEN
    ]
    metadata = metadata_from_rows(
        [{"table_name": "ivoa.ObsCore"}], columns, database={"ivoa": {"obscore": existing}}
    )
    return Service(driver, metadata, tuple(rows))


def _vector(lon: float, lat: float) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(lon, lat))


def _vertices(row: Row) -> list[UnitVector3d]:
    numbers = [float(word) for word in row["s_region"].split()[2:]]
    return [_vector(lon, lat) for lon, lat in zip(numbers[::2], numbers[1::2], strict=True)]


def _polygon(row: Row) -> ConvexPolygon:
    return ConvexPolygon(_vertices(row))


def _circle(radius: float) -> Circle:
    return Circle(_vector(RA, DEC), Angle.fromDegrees(radius))


def _separation(row: Row) -> float:
    """Return the distance of the centre from our position, in degrees."""
    degrees: float = _vector(RA, DEC).dot(_vector(row["s_ra"], row["s_dec"]))
    return math.degrees(math.acos(min(1.0, degrees)))


def _overlaps(row: Row, radius: float) -> bool:
    return row["s_region"] is not None and not _polygon(row).relate(_circle(radius)) & DISJOINT


REGIONS = r"^plain_region_pgs_region_idx$"
TIMES = r"^ivoa_obscore_dataset_t_min_idx1?$"
IDENTIFIERS = r"^ivoa_obscore_dataset_expr_idx$"
DATASETS = r"^ivoa_obscore_dataset_pkey$"

# What is asked, in braces what is taken from one visit image; the index; and what a row must be.
SEARCHES: dict[str, tuple[str, str, Any]] = {
    "point in a region": (
        f"CONTAINS(POINT('ICRS', {RA}, {DEC}), s_region) = 1",
        REGIONS,
        lambda row, _: row["s_region"] is not None and _polygon(row).contains(_vector(RA, DEC)),
    ),
    "region over a cone": (
        f"1 = INTERSECTS(CIRCLE('ICRS', {RA}, {DEC}, 0.05), s_region)",
        REGIONS,
        lambda row, _: _overlaps(row, 0.05),
    ),
    "the same the other way round": (
        f"INTERSECTS(s_region, CIRCLE({RA}, {DEC}, 0.05)) = 1",
        REGIONS,
        lambda row, _: _overlaps(row, 0.05),
    ),
    "region inside of a cone": (
        f"CONTAINS(s_region, CIRCLE({RA}, {DEC}, 0.5)) = 1",
        REGIONS,
        lambda row, _: (
            row["s_region"] is not None and all(_circle(0.5).contains(one) for one in _vertices(row))
        ),
    ),
    "centre near a position": (
        f"DISTANCE(POINT({RA}, {DEC}), POINT(s_ra, s_dec)) < 0.05",
        REGIONS,
        lambda row, _: row["s_ra"] is not None and _separation(row) < 0.05,
    ),
    "centre near a position, four numbers": (
        f"0.05 >= DISTANCE(s_ra, s_dec, {RA}, {DEC})",
        REGIONS,
        lambda row, _: row["s_ra"] is not None and _separation(row) <= 0.05,
    ),
    "centre in a circle": (
        f"CONTAINS(POINT('ICRS', s_ra, s_dec), CIRCLE('ICRS', {RA}, {DEC}, 0.05)) = 1",
        REGIONS,
        lambda row, _: row["s_ra"] is not None and _separation(row) <= 0.05,
    ),
    "centre in a box": (
        f"CONTAINS(POINT(s_ra, s_dec), BOX({RA}, {DEC}, 0.06, 0.06)) = 1",
        REGIONS,
        lambda row, _: row["s_ra"] is not None and max(abs(row["s_ra"] - RA), abs(row["s_dec"] - DEC)) < 0.03,
    ),
    "centroid near a position": (
        f"DISTANCE(CENTROID(s_region), POINT({RA}, {DEC})) <= 0.05",
        REGIONS,
        lambda row, _: row["s_ra"] is not None and _separation(row) <= 0.05,
    ),
    "images of one dataset type over a cone": (
        f"dataproduct_subtype = 'lsst.visit_image' AND INTERSECTS(CIRCLE({RA}, {DEC}, 0.05), s_region) = 1",
        REGIONS,
        lambda row, _: row["dataproduct_subtype"] == "lsst.visit_image" and _overlaps(row, 0.05),
    ),
    "identifier": (
        "obs_publisher_did = '{obs_publisher_did}'",
        IDENTIFIERS,
        lambda row, image: row["obs_publisher_did"] == image["obs_publisher_did"],
    ),
    "identifiers": (
        "obs_publisher_did IN ('{obs_publisher_did}', 'ivo://nobody/nothing')",
        IDENTIFIERS,
        lambda row, image: row["obs_publisher_did"] == image["obs_publisher_did"],
    ),
    "UUID": (
        "registry_dataset_id = '{registry_dataset_id}'",
        DATASETS,
        lambda row, image: row["registry_dataset_id"] == image["registry_dataset_id"],
    ),
    "begin in a time window": (
        "t_min BETWEEN {t_min} - 0.001 AND {t_min} + 0.001",
        TIMES,
        lambda row, image: row["t_min"] is not None and abs(row["t_min"] - image["t_min"]) <= 0.001,
    ),
    "overlap of a time window": (
        "t_min < {t_max} AND t_max > {t_min}",
        TIMES,
        lambda row, image: (
            row["t_min"] is not None and row["t_min"] < image["t_max"] and row["t_max"] > image["t_min"]
        ),
    ),
}


def _image(service: Service) -> Row:
    return next(row for row in service.rows if row["dataproduct_subtype"] == "lsst.visit_image")


@pytest.mark.parametrize("inline", [False, True], ids=["parameters", "inline"])
@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_the_right_rows_of_the_view(search: str, service: Service, *, inline: bool) -> None:
    condition, _, wanted = SEARCHES[search]
    image = _image(service)
    expected = sorted(row["obs_publisher_did"] for row in service.rows if wanted(row, image))
    assert 0 < len(expected) < len(service.rows)
    assert service.found(condition.format(**image), Server(inline=inline)) == expected


@pytest.mark.parametrize("inline", [False, True], ids=["parameters", "inline"])
@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_reads_no_table_whole_and_uses_the_index_that_is_for_it(
    search: str, service: Service, *, inline: bool
) -> None:
    condition, index, _ = SEARCHES[search]
    nodes = service.plan(condition.format(**_image(service)), Server(inline=inline))
    used = {node["Index Name"] for node in nodes if "Index Cond" in node}
    assert any(re.search(index, name) for name in used), used
    assert [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"] == []


def test_a_search_that_no_index_serves_reads_the_view_whole(service: Service) -> None:
    # The negative control of the test above.
    for condition in (f"CONTAINS(POINT({RA}, {DEC}), s_region) = 0", "t_max > 0"):
        used = {node["Index Name"] for node in service.plan(condition, Server()) if "Index Cond" in node}
        assert not [name for name in used if re.search(f"{REGIONS}|{TIMES}", name)]


def test_a_query_that_makes_the_view_too_large_is_refused(
    service: Service, view_connection_readonly: sa.Connection
) -> None:
    names = [(column.name, column.type) for table in service.metadata.tables for column in table.columns]
    rows = [
        {"table_name": "ivoa.ObsCore", "column_name": name, "datatype": type_.datatype, "arraysize": "*"}
        for name, type_ in names
    ]
    values = [tuple(map(row.get, COLUMN_FIELDS)) for row in rows]
    published = published_metadata(view_connection_readonly, [{"table_name": "ivoa.ObsCore"}], values)
    # The statement behind the view, as the catalog has it.
    assert published.tables[0].nodes > 200

    def translate(text: str) -> CompiledQuery:
        return to_postgres(parse(text), published)

    one = "SELECT obs_id FROM ivoa.ObsCore"
    for text in (" UNION ALL ".join([one] * 95), one + " WHERE " + " AND ".join(["obs_id > 'a'"] * 1400)):
        with pytest.raises(AdqlLimitError):
            translate(text)
    joins = (f" JOIN ivoa.ObsCore AS o{of} ON o0.obs_id = o{of}.obs_id" for of in range(1, 6))
    ids = ", ".join(f"'{of}'" for of in range(1000))
    for text in (
        "SELECT o0.* FROM ivoa.ObsCore AS o0" + "".join(joins),
        f"SELECT * FROM ivoa.ObsCore WHERE obs_id IN ({ids})",
        one + " WHERE " + " OR ".join(["obs_id = 'a'"] * 100),
    ):
        assert "OFFSET" not in translate(text).sql


def test_columns_of_pgsphere_are_not_for_users(service: Service) -> None:
    names = {column.name for column in service.metadata.tables[0].columns}
    assert {"s_region", "s_ra", "obs_publisher_did"} < names
    assert not names & HIDDEN
    compiled = to_postgres(parse("SELECT * FROM ivoa.ObsCore"), service.metadata)
    assert {column.name for column in compiled.columns} == names
