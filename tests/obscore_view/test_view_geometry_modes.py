"""Both geometry modes: the same rows, plans that read no table of datasets, no trace where none is wanted."""

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
from obscore_view.check import check_view
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

TABLE, NONE = VIEWS_OVER_PLAIN.values()

_AS_IT_STANDS = {"no_parameters": True}

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
    table, none = (
        rows_of(view_connection_readonly, view, SPATIAL[condition]).keys()
        for view in VIEWS_OVER_PLAIN.values()
    )
    assert table == none
    assert 0 < len(table) < len(rows_of(view_connection_readonly, TABLE))


NOBODY = "'00000000-0000-0000-0000-000000000000'"
DID = "ivo://org.rubinobs/usdac/lsst-demo?repo=demo&id=00000000-0000-0000-0000-000000000000"
IMAGES = "dataproduct_subtype = 'lsst.visit_image'"
REGION, DATASET, OBSERVATION = (
    "plain_region_pgs_region_idx",
    "ivoa_obscore_dataset",
    "ivoa_obscore_observation",
)
TIME = f"{DATASET}_t_min_idx1?"
QUESTIONS = {
    **{f"position, {name}": (f"ivoa.obscore o WHERE {where}", REGION) for name, where in SPATIAL.items()},
    "position and type": (f"ivoa.obscore o WHERE {SPATIAL['overlap']} AND {IMAGES}", REGION),
    "uploaded positions": (
        f"(VALUES ({POINT}), (spoint(0.2, 0.1))) p (place) JOIN ivoa.obscore o ON p.place @ o.pgs_region",
        REGION,
    ),
    "uploaded circles": (
        f"(VALUES ({CIRCLE})) p (place) JOIN ivoa.obscore o ON p.place && o.pgs_region",
        REGION,
    ),
    "UUID": (f"ivoa.obscore o WHERE registry_dataset_id = {NOBODY}", f"{DATASET}_pkey"),
    "uploaded UUIDs": (
        f"(VALUES ({NOBODY}::uuid)) p (id) JOIN ivoa.obscore o ON o.registry_dataset_id = p.id",
        f"{DATASET}_pkey",
    ),
    "UUIDs of a query": (
        f"ivoa.obscore o WHERE registry_dataset_id IN (SELECT {NOBODY}::uuid)",
        f"{DATASET}_pkey",
    ),
    "uploaded visits": (
        "(VALUES (7), (8)) p (visit) JOIN ivoa.obscore o ON o.lsst_visit = p.visit",
        f"{OBSERVATION}_lsst_visit_idx",
    ),
    "visit and type": (f"ivoa.obscore o WHERE lsst_visit = 7 AND {IMAGES}", f"{OBSERVATION}_lsst_visit_idx"),
    "obs_id": ("ivoa.obscore o WHERE obs_id = 'unlike any'", f"{OBSERVATION}_obs_id_idx"),
    "beginning of obs_id": ("ivoa.obscore o WHERE obs_id LIKE 'unlike%'", f"{OBSERVATION}_obs_id_idx"),
    "identifier": (f"ivoa.obscore o WHERE obs_publisher_did = '{DID}'", f"{DATASET}_expr_idx"),
    "ten minutes": ("ivoa.obscore o WHERE t_min BETWEEN 61000.5 AND 61000.507", TIME),
    "newest, NULLs first": ("ivoa.obscore o ORDER BY t_min DESC LIMIT 10", TIME),
    "newest, NULLs last": ("ivoa.obscore o ORDER BY t_min DESC NULLS LAST LIMIT 10", TIME),
    "newest with a time": ("ivoa.obscore o WHERE t_min IS NOT NULL ORDER BY t_min DESC LIMIT 10", TIME),
    "newest of a type": (f"ivoa.obscore o WHERE {IMAGES} ORDER BY t_min DESC LIMIT 10", TIME),
}
"""What is asked, after ``SELECT o.* FROM``, and the index of ours that answers it."""


def _plan(connection: sa.Connection, text: str) -> list[dict[str, Any]]:
    """Return the nodes of a plan; small tables are no reason to read all of them."""
    connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", execution_options=_AS_IT_STANDS)
    found = plan.scalar_one()
    return list(_nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))


def _read_whole(nodes: list[dict[str, Any]]) -> list[str]:
    """Return the large tables that a plan reads from the beginning to the end, by an index or without."""
    return [
        node["Relation Name"]
        for node in nodes
        if re.search(r"_(dataset|region|observation)$|^dataset", node.get("Relation Name", ""))
        and not {"Index Cond", "Recheck Cond", "Order By"} & node.keys()
        and not ("Index Name" in node and "t_min" in node["Index Name"])
    ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_an_index_of_ours_and_reads_no_large_table_whole(
    view_connection_readonly: sa.Connection, question: str
) -> None:
    asked, index = QUESTIONS[question]
    nodes = _plan(view_connection_readonly, f"SELECT o.* FROM {asked}")  # noqa: S608
    assert any(re.fullmatch(index, one) for one in _indexes(nodes)), _indexes(nodes)
    assert _read_whole(nodes) == []


@pytest.mark.parametrize("what", ["*", "count(t_max)"])
def test_a_plan_that_reads_all_datasets_is_seen_to(
    view_connection_readonly: sa.Connection, what: str
) -> None:
    """The negative control of the test above."""
    nodes = _plan(view_connection_readonly, f"SELECT {what} FROM ivoa.obscore")  # noqa: S608
    assert DATASET in _read_whole(nodes)


def test_an_untouched_registry_has_no_index_of_ours_to_use(view_connection_readonly: sa.Connection) -> None:
    found = _indexes(_explained(view_connection_readonly, NONE, SPATIAL["overlap"]))
    assert found
    assert not any("region_pgs" in name or "obscore" in name or name.startswith("tapdb") for name in found)


def test_a_search_by_uuid_in_an_untouched_registry_uses_butlers_indexes(
    view_connection_readonly: sa.Connection,
) -> None:
    rows = rows_of(view_connection_readonly, NONE, "dataproduct_subtype = 'lsst.visit_image'")
    (wanted, *_) = rows
    condition = f"registry_dataset_id = '{wanted}'"
    nodes = _explained(view_connection_readonly, NONE, condition)
    by_id = [node for node in nodes if f"dataset_id = '{wanted}'" in node.get("Index Cond", "")]
    assert by_id
    # The primary key and the index of the foreign key both begin with the UUID.
    assert all(re.search("pkey|dataset_id", node["Index Name"]) for node in by_id)
    tags = [node for node in nodes if node.get("Relation Name", "").startswith("dataset_tags_")]
    assert not any(node["Node Type"] == "Seq Scan" for node in tags)
    assert rows_of(view_connection_readonly, NONE, condition).keys() == {wanted}


@pytest.mark.parametrize("view", VIEWS_OVER_PLAIN.values())
def test_a_dataset_is_found_by_each_of_its_names(view_connection_readonly: sa.Connection, view: str) -> None:
    rows = rows_of(view_connection_readonly, view, "dataproduct_subtype = 'lsst.visit_image'")
    (wanted, row), *_ = rows.items()
    for condition in (
        f"registry_dataset_id = '{wanted}'",
        f"obs_publisher_did = '{row['obs_publisher_did']}'",
    ):
        assert rows_of(view_connection_readonly, view, condition).keys() == {wanted}
    for condition in (
        f"obs_id = '{row['obs_id']}'",
        f"obs_id LIKE '{row['obs_id'][:-1]}%'",
        f"lsst_visit = {row['lsst_visit']}",
    ):
        found = rows_of(view_connection_readonly, view, condition)
        assert wanted in found
        assert len(found) < len(rows_of(view_connection_readonly, view))


def test_counting_reads_the_datasets_alone(view_connection_readonly: sa.Connection) -> None:
    nodes = _plan(view_connection_readonly, f"SELECT count(*) FROM {TABLE}")  # noqa: S608
    relations = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    assert relations == {"ivoa_obscore_dataset"}


def test_a_view_reads_none_of_butlers_tables_of_datasets(view_connection_readonly: sa.Connection) -> None:
    nodes = _plan(view_connection_readonly, f"SELECT * FROM {TABLE}")  # noqa: S608
    relations = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    assert {"ivoa_obscore_dataset", "plain_region"} <= relations
    assert not any(re.fullmatch("dataset(_tags_.*)?|collection.*|visit.*|exposure", one) for one in relations)


@pytest.mark.parametrize("mode", VIEWS_OVER_PLAIN)
def test_a_view_that_is_dropped_leaves_no_trace(butler_pair: Pair, migrated_on: Any, mode: str) -> None:
    with open_engine(butler_pair.url) as engine, engine.begin() as connection:
        migrated_on(connection)
        before = describe(connection)
        make_test_view(connection, view_config_text("mine.ObsCore", geometry=mode), "plain")
        made = diff(before, describe(connection, None))
        on_butlers = {
            str(one) for one in made if " plain." in one.object and "grant to tapdb_owner" not in str(one)
        }
        drop_view(connection, find_stored_view(connection, "mine.obscore"))
        assert diff(before, describe(connection)) == ()
        assert connection.scalar(sa.text("SELECT count(*) FROM tapdb.view_definition")) == 0
    assert made
    if mode == "none":
        assert on_butlers == set()
    else:
        assert on_butlers
        assert all("trigger tapdb_" in one for one in on_butlers), on_butlers


@pytest.fixture
def migrated_on() -> Any:
    """Return a function that brings a database to head, without a view."""
    return lambda connection: command.upgrade(alembic_config(connection, obscore="off"), "head")


def test_no_mode_makes_an_index_on_butlers_tables_and_an_untouched_registry_has_no_trigger_either(
    butler_pair: Pair, migrated_on: Any
) -> None:
    on_butlers = sa.text(
        "SELECT (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), "
        "(SELECT count(*) FROM pg_statistic_ext s WHERE s.stxrelid = c.oid), "
        "ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid ORDER BY 1) "
        "FROM pg_class c WHERE c.relnamespace = 'plain'::regnamespace AND c.relkind = 'r' ORDER BY c.relname"
    )

    def found() -> tuple[list[int], list[int], list[list[str]]]:
        triggers, statistics, indexes = zip(*connection.execute(on_butlers), strict=True)
        return list(triggers), list(statistics), list(indexes)

    with open_engine(butler_pair.url) as engine, engine.begin() as connection:
        before = found()
        assert sum(before[0]) == 0
        migrated_on(connection)
        make_test_view(connection, view_config_text(geometry="none"), "plain")
        assert found() == before
        for mode, view in (("table", "other.obscore"), ("index", "third.obscore")):
            make_test_view(connection, view_config_text(view, geometry=mode), "plain")
            triggers, *others = found()
            assert sum(triggers) > 10
            assert others == list(before[1:])
        # The query can find some.
        execute_text(connection, "CREATE INDEX ON plain.visit (day_obs)")
        assert found()[2] != before[2]


def test_a_configuration_with_the_mode_that_was_is_one_with_kept_tables(
    butler_pair: Pair, migrated_on: Any
) -> None:
    with open_engine(butler_pair.url) as engine, engine.begin() as connection:
        migrated_on(connection)
        make_test_view(connection, view_config_text("third.obscore", geometry="index"), "plain")
        view = find_stored_view(connection, "third.obscore")
        assert {name for _, name in view.objects.tables} == {
            "plain_region",
            *(f"third_obscore_{what}" for what in ("collection", "observation", "dataset")),
        }
        assert check_view(connection, view, deep=True) == ()


def test_one_of_several_views_can_be_dropped_and_the_others_go_on(view_connection: sa.Connection) -> None:
    expected = {view: rows_of(view_connection, view) for view in (TABLE, NONE, VIEW_OVER_LIVE)}
    for dropped in (VIEW_OVER_LIVE, TABLE):
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
        "AND relname LIKE 'plain\\_%region%'"
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
    for view in (TABLE, NONE):
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
