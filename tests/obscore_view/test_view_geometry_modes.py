"""The three geometry modes: the same rows, an index where one is promised, no trace where none is wanted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from examples.lsstcam import Pair
from obscore_view import drop_view
from obscore_view.view.make import find_stored_view, refresh_view
from tapdb.migrate.run import alembic_config
from tapdb.postgres.catalog import describe, diff
from tapdb.sources import execute_text
from tests.obscore_view.comparison import differences, kept_differences, rows_of, view_differences
from tests.plugins.view_fixtures import (
    VIEW_OVER_LIVE,
    VIEWS_OVER_PLAIN,
    make_test_view,
    open_engine,
    view_config_text,
)

TABLE, INDEX, NONE = VIEWS_OVER_PLAIN.values()

# Positions: the first visit of the repository.
CIRCLE = "scircle(spoint(radians(0.1), radians(-0.2)), radians(0.05))"
POINT = "spoint(radians(0.1), radians(-0.2))"
SPATIAL = {
    "overlap": f"pgs_region && {CIRCLE}",
    "overlap the other way round": f"{CIRCLE} && pgs_region",
    "point in region": f"{POINT} @ pgs_region",
    "region contains point": f"pgs_region ~ {POINT}",
    "point <@ region": f"{POINT} <@ pgs_region",
    "region @> point": f"pgs_region @> {POINT}",
}
REGION_INDEXES = {
    TABLE: "plain_visit_detector_region_footprint",
    INDEX: "tapdb_by_index_obscore_visit_detector_region",
}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _explained(
    connection: sa.Connection, view: str, condition: str, options: str = ""
) -> list[dict[str, Any]]:
    """Return the nodes of the plan of a search; small tables are no reason to read all of them."""
    connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
    schema, _, name = view.partition(".")
    query = sa.select(sa.text("*")).select_from(sa.table(name, schema=schema)).where(sa.text(condition))
    text = f"EXPLAIN ({options}FORMAT JSON) {query}"
    plan = connection.exec_driver_sql(text).scalar_one()
    loaded = json.loads(plan) if isinstance(plan, str) else plan
    return list(_nodes(loaded[0]["Plan"]))


def _indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def test_all_modes_give_the_same_rows(view_connection_readonly: sa.Connection) -> None:
    assert view_differences(view_connection_readonly, VIEWS_OVER_PLAIN.values()) == []
    assert kept_differences(view_connection_readonly) == {}


@pytest.mark.parametrize("condition", SPATIAL)
def test_all_modes_find_the_same_rows_by_position(
    view_connection_readonly: sa.Connection, condition: str
) -> None:
    table, index, none = (
        rows_of(view_connection_readonly, view, SPATIAL[condition]).keys()
        for view in VIEWS_OVER_PLAIN.values()
    )
    assert table == index == none
    assert 0 < len(table) < len(rows_of(view_connection_readonly, TABLE))


@pytest.mark.parametrize("condition", SPATIAL)
@pytest.mark.parametrize("view", REGION_INDEXES)
def test_a_search_by_position_uses_the_gist_index(
    view_connection_readonly: sa.Connection, view: str, condition: str
) -> None:
    found = _indexes(_explained(view_connection_readonly, view, SPATIAL[condition]))
    assert any(name.startswith(REGION_INDEXES[view]) and not name.endswith("_pkey") for name in found), found


def test_an_untouched_registry_has_no_gist_index_to_use(view_connection_readonly: sa.Connection) -> None:
    found = _indexes(_explained(view_connection_readonly, NONE, SPATIAL["overlap"]))
    assert not any("footprint" in name or name.startswith("tapdb_untouched") for name in found)


@pytest.mark.parametrize("view", [TABLE, INDEX])
def test_a_search_by_did_uses_the_did_index(view_connection_readonly: sa.Connection, view: str) -> None:
    rows = rows_of(view_connection_readonly, view, "dataproduct_subtype = 'lsst.visit_image'")
    did = next(row["obs_publisher_did"] for row in rows.values())
    found = _indexes(_explained(view_connection_readonly, view, f"obs_publisher_did = '{did}'"))
    # Both views have an index over the same expression: PostgreSQL takes either.
    assert any(re.match(r"tapdb_(ivoa|by_index)_obscore_dataset_tags_", name) for name in found), found
    assert len(rows_of(view_connection_readonly, view, f"obs_publisher_did = '{did}'")) == 1


@pytest.mark.parametrize("view", VIEWS_OVER_PLAIN.values())
def test_a_search_by_uuid_uses_butlers_primary_key(
    view_connection_readonly: sa.Connection, view: str
) -> None:
    rows = rows_of(view_connection_readonly, view, "dataproduct_subtype = 'lsst.visit_image'")
    (wanted, *_) = rows
    condition = f"registry_dataset_id = '{wanted}'"
    nodes = _explained(view_connection_readonly, view, condition)
    by_id = [node for node in nodes if f"dataset_id = '{wanted}'" in node.get("Index Cond", "")]
    assert by_id
    # The primary key and the index of the foreign key both begin with the UUID.
    assert all(re.search("pkey|dataset_id", node["Index Name"]) for node in by_id)
    tags = [node for node in nodes if node.get("Relation Name", "").startswith("dataset_tags_")]
    assert not any(node["Node Type"] == "Seq Scan" for node in tags)
    assert rows_of(view_connection_readonly, view, condition).keys() == {wanted}


def test_a_branch_whose_constants_do_not_fit_is_not_read(view_connection_readonly: sa.Connection) -> None:
    nodes = _explained(view_connection_readonly, TABLE, "dataproduct_subtype = 'lsst.deep_coadd'")
    relations = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    assert "plain_patch_footprint" in relations
    assert "ivoa_obscore_exposure" not in relations


def test_types_that_share_a_branch_have_no_region_read_if_none_of_them_fits(
    view_connection_readonly: sa.Connection,
) -> None:
    nodes = _explained(
        view_connection_readonly, TABLE, "dataproduct_subtype = 'lsst.deep_coadd'", "ANALYZE, "
    )
    read = {node["Relation Name"]: node["Actual Loops"] for node in nodes if "Relation Name" in node}
    assert read["plain_visit_detector_region_footprint"] == 0
    assert read["plain_patch_footprint"] > 0


def test_counting_reads_no_region(view_connection_readonly: sa.Connection) -> None:
    text = f"EXPLAIN (FORMAT JSON) SELECT count(*) FROM {TABLE}"  # noqa: S608
    plan = view_connection_readonly.exec_driver_sql(text).scalar_one()
    nodes = list(_nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))
    relations = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    assert not any(name.endswith("_footprint") or name == "file_datastore_records" for name in relations)


@pytest.mark.parametrize("mode", VIEWS_OVER_PLAIN)
def test_a_view_that_is_dropped_leaves_no_trace(butler_pair: Pair, migrated_on: Any, mode: str) -> None:
    with open_engine(butler_pair.url) as engine, engine.begin() as connection:
        migrated_on(connection)
        before = describe(connection)
        make_test_view(connection, view_config_text("mine.ObsCore", geometry=mode), "plain")
        made = diff(before, describe(connection, None))
        on_butlers = {one.object for one in made if " plain." in one.object}
        drop_view(connection, find_stored_view(connection, "mine.obscore"))
        assert diff(before, describe(connection)) == ()
        assert connection.scalar(sa.text("SELECT count(*) FROM tapdb.view_definition")) == 0
    assert made
    if mode == "none":
        assert not any(one.startswith(("trigger", "index")) for one in on_butlers), on_butlers
    else:
        assert any("tapdb" in str(one) or "mine" in str(one) or "footprint" in str(one) for one in made)


@pytest.fixture
def migrated_on() -> Any:
    """Return a function that brings a database to head, without a view."""
    return lambda connection: command.upgrade(alembic_config(connection, obscore="off"), "head")


def test_an_untouched_registry_has_neither_triggers_nor_indexes_of_ours(
    butler_pair: Pair, migrated_on: Any
) -> None:
    ours = sa.text(
        "SELECT (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), "
        "(SELECT count(*) FROM pg_index i JOIN pg_class n ON n.oid = i.indexrelid "
        " WHERE i.indrelid = c.oid AND n.relname LIKE 'tapdb%') "
        "FROM pg_class c WHERE c.relnamespace = 'plain'::regnamespace AND c.relkind = 'r'"
    )
    with open_engine(butler_pair.url) as engine, engine.begin() as connection:
        migrated_on(connection)
        make_test_view(connection, view_config_text(geometry="none"), "plain")
        assert set(map(tuple, connection.execute(ours))) == {(0, 0)}
        # The query can find some.
        make_test_view(connection, view_config_text("other.obscore"), "plain")
        make_test_view(connection, view_config_text("third.obscore", geometry="index"), "plain")
        found = set(map(tuple, connection.execute(ours)))
        assert any(triggers for triggers, _ in found)
        assert any(indexes for _, indexes in found)


def test_one_of_several_views_can_be_dropped_and_the_others_go_on(view_connection: sa.Connection) -> None:
    expected = {view: rows_of(view_connection, view) for view in (TABLE, INDEX, NONE, VIEW_OVER_LIVE)}
    for dropped in (INDEX, VIEW_OVER_LIVE, TABLE):
        drop_view(view_connection, find_stored_view(view_connection, dropped))
        view_connection.commit()
        del expected[dropped]
        assert view_connection.scalar(sa.select(sa.func.to_regclass(dropped))) is None
        for view, rows in expected.items():
            assert differences(rows, rows_of(view_connection, view)) == []
    assert list(expected) == [NONE]


def test_two_views_over_one_registry_share_the_decoded_regions(view_connection: sa.Connection) -> None:
    make_test_view(view_connection, view_config_text("second.obscore"), "plain")
    shared = sa.text(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'tapdb'::regnamespace AND relkind = 'r' "
        "AND relname LIKE 'plain\\_visit\\_detector\\_region%'"
    )
    assert view_connection.scalar(shared) == 1
    assert differences(rows_of(view_connection, TABLE), rows_of(view_connection, "second.obscore")) == []
    drop_view(view_connection, find_stored_view(view_connection, TABLE))
    view_connection.commit()
    with_region = rows_of(view_connection, "second.obscore", "s_region IS NOT NULL")
    assert len(with_region) > 50
    assert kept_differences(view_connection) == {}


@pytest.mark.parametrize("regions", ["kept", "decoded again"])
def test_a_view_that_is_refreshed_has_the_same_rows(view_connection: sa.Connection, regions: str) -> None:
    for view in (TABLE, INDEX, NONE):
        before = rows_of(view_connection, view)
        refresh_view(
            view_connection, find_stored_view(view_connection, view), rebuild_footprints=regions != "kept"
        )
        view_connection.commit()
        assert differences(before, rows_of(view_connection, view)) == []
    assert kept_differences(view_connection) == {}


_GARBAGE = ("", ":", "no base64!", "cA==", "AAAA", "p" * 132, "cAAA" * 33, "é", "cAAAAAAAAPA/" + "AAAA" * 30)


def test_an_insert_of_a_region_that_cannot_be_decoded_never_fails(view_connection: sa.Connection) -> None:
    """Butler's own statement must go through in every mode, and the row be there with a NULL region."""
    connection = view_connection
    images = "dataproduct_subtype = 'lsst.visit_image'"
    placed = rows_of(connection, TABLE, images, "s_region IS NOT NULL")
    detectors = sorted({(row["lsst_visit"], row["lsst_detector"]) for row in placed.values()})[
        : len(_GARBAGE)
    ]
    key = "instrument = 'LSSTCam' AND visit = :visit AND detector = :detector"
    for (visit, detector), garbage in zip(detectors, _GARBAGE, strict=True):
        values = {"visit": visit, "detector": detector, "region": garbage}
        connection.execute(sa.text(f"DELETE FROM plain.visit_detector_region WHERE {key}"), values)  # noqa: S608
        connection.execute(
            sa.text("INSERT INTO plain.visit_detector_region VALUES ('LSSTCam', :detector, :visit, :region)"),
            values,
        )
        connection.execute(sa.text("UPDATE plain.patch SET region = :region WHERE id = 1"), values)
    connection.commit()
    assert kept_differences(connection) == {}
    assert view_differences(connection, VIEWS_OVER_PLAIN.values()) == []
    for view in VIEWS_OVER_PLAIN.values():
        rows = rows_of(connection, view, images)
        hit = [row for row in rows.values() if (row["lsst_visit"], row["lsst_detector"]) in detectors]
        assert len(hit) >= len(_GARBAGE)
        spatial = ("s_region", "s_ra", "s_dec", "s_fov", "pgs_region", "pgs_center")
        assert all(row[name] is None for row in hit for name in spatial)
        assert rows_of(connection, view, "lsst_patch = 1")


def test_a_trigger_that_breaks_is_a_warning_and_not_butlers_error(view_connection: sa.Connection) -> None:
    execute_text(view_connection, "ALTER TABLE tapdb.plain_patch_footprint RENAME COLUMN s_fov TO s_gone")
    view_connection.execute(sa.text("UPDATE plain.patch SET region = NULL WHERE id = 1"))
    view_connection.commit()
    left = sa.text("SELECT count(*) FROM plain.patch WHERE id = 1 AND region IS NOT NULL")
    assert view_connection.scalar(left) == 0
