"""Which data made which: what is loaded equals the graph, and readers, links and CAOM2's view say so."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import networkx as nx
import pytest
import sqlalchemy as sa
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from external_code.provenance.run_graph import read_run
from external_code.running import kept_graph
from tapdb.hooks.descriptions import load_link_providers, read_links
from tests.external_code.conftest import Archive
from tests.plugins.view_fixtures import open_engine


def rows(archive: Archive, statement: str, **values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query as a reader gets them."""
    with open_engine(archive.url) as engine, engine.connect() as connection:
        connection.execute(sa.text("SET ROLE tapdb_reader"))
        return [tuple(row) for row in connection.execute(sa.text(statement), values)]


def oracle(archive: Archive) -> nx.MultiDiGraph:
    """Return the graph as pipe_base itself reads it."""
    with (
        archive.repository.butler() as butler,
        kept_graph(butler, archive.done.run) as file,
        PredictedQuantumGraph.open(file) as reader,
    ):
        reader.read_all()
        graph: nx.MultiDiGraph = reader.finish().bipartite_xgraph
        return graph


def test_all_quanta_succeeded_on_a_registry_in_postgresql(archive: Archive) -> None:
    assert archive.done.counts == {("sources", "success"): 4, ("levels", "success"): 4}


def test_what_is_loaded_equals_the_graph_of_pipe_base(archive: Archive) -> None:
    graph = oracle(archive)
    edges = set(rows(archive, "SELECT quantum_id, dataset_id, relation FROM provenance.edge"))
    expected = {
        (v, u, "used") if data["is_read"] else (u, v, "wasGeneratedBy")
        for u, v, data in graph.edges(data=True)
    }
    assert len(expected) == 4 * (1 + 5) + 4 * (1 + 4)
    assert edges == expected
    quanta = {node: data for node, data in graph.nodes(data=True) if "task_label" in data}
    found = rows(archive, "SELECT quantum_id, task, data_id, status, run FROM provenance.quantum")
    assert {(one, task, json.loads(text)["visit"]) for one, task, text, _, _ in found} == {
        (node, data["task_label"], data["data_id"]["visit"]) for node, data in quanta.items()
    }
    assert {row[3:] for row in found} == {("success", archive.done.run)}
    datasets = rows(archive, "SELECT dataset_id, dataset_type, run, data_id FROM provenance.dataset")
    assert {(one, name, run, json.loads(text)["detector"]) for one, name, run, text in datasets} == {
        (node, data["dataset_type_name"], data["run"], data["data_id"]["detector"])
        for node, data in graph.nodes(data=True)
        if "dataset_type_name" in data
    }


def test_digests_of_outputs_come_from_the_records(archive: Archive) -> None:
    found = dict(
        rows(archive, "SELECT dataset_type, min(digest) FROM provenance.dataset GROUP BY dataset_type")
    )
    assert str(found["background"]).startswith("data:")
    assert str(found["background_level"]).startswith("bytes:")
    assert found["visit_image"] is None


def test_provenance_input_is_what_caom2_wants(archive: Archive) -> None:
    pairs = set(rows(archive, "SELECT outputID::text, inputID FROM provenance.ProvenanceInput"))
    sources, background = archive.dataset("sources"), archive.dataset("background")
    image, level = archive.dataset("visit_image"), archive.dataset("background_level")
    assert {(sources, image), (background, image), (level, background)} <= pairs
    assert (level, image) not in pairs


def test_the_views_are_described_in_tap_schema(archive: Archive) -> None:
    tables = dict(
        rows(
            archive, "SELECT table_name, description FROM tap_schema.tables WHERE schema_name = 'provenance'"
        )
    )
    assert tables.keys() == {
        f"provenance.{name}" for name in ("quantum", "dataset", "edge", "ProvenanceInput")
    }
    columns = rows(
        archive, "SELECT description, ucd FROM tap_schema.columns WHERE table_name LIKE 'provenance.%'"
    )
    assert len(columns) == 6 + 6 + 3 + 2
    assert all(description and ucd for description, ucd in columns)
    query = (
        "SELECT TOP 1 d.dataset_type FROM provenance.ProvenanceInput AS p JOIN provenance.dataset AS d "
        "ON d.dataset_id = p.inputID WHERE p.outputID = '{}'"
    )
    asked = archive.tapdb("query", "run", "--format", "csv", query.format(archive.dataset("sources")))
    assert asked.exit_code == 0, asked.output
    assert asked.stdout.split() == ["dataset_type", "visit_image"]
    linted = archive.tapdb("tap-schema", "lint", "--format", "json")
    assert [one for one in json.loads(linted.stdout or "[]") if "provenance" in one["subject"]] == []


def test_outputs_are_in_obscore_when_they_are_committed(archive: Archive) -> None:
    found = rows(
        archive, "SELECT lsst_dataset_type, count(*) FROM ivoa.ObsCore GROUP BY lsst_dataset_type ORDER BY 1"
    )
    assert found == [("background", 4), ("background_level", 4), ("sources", 4), ("visit_image", 4)]


def test_links_name_what_a_dataset_was_made_of(archive: Archive) -> None:
    did = f"ivo://org.rubinobs/usdac/lsst-images?repo=images&id={archive.dataset('background_level')}"
    with open_engine(archive.url) as engine, engine.connect() as connection:
        connection.execute(sa.text("SET ROLE tapdb_reader"))
        links = read_links(connection, [did], load_link_providers().values())
    progenitors = [one for one in links if one.semantics == "#progenitor"]
    assert [one.access_url for one in progenitors] == [f"/files/images/{archive.dataset('background')}"]
    assert progenitors[0].content_type == "image/fits"
    assert "read by levels" in str(progenitors[0].description)


def test_what_readers_do_not_see_is_not_linked(archive: Archive) -> None:
    did = f"ivo://org.rubinobs/usdac/lsst-images?repo=images&id={archive.dataset('sources')}"
    with open_engine(archive.url) as engine, engine.connect() as connection:
        connection.execute(sa.text("UPDATE tapdb.provenance_run SET is_public = false"))
        connection.execute(sa.text("SET LOCAL ROLE tapdb_reader"))
        links = read_links(connection, [did], load_link_providers().values())
        views = [
            connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name, schema="provenance")))
            for name in ("quantum", "dataset", "edge", "provenanceinput")
        ]
        ancestors = connection.scalar(
            sa.text("SELECT count(*) FROM tapdb.ancestors(:one, 5)"),
            {"one": UUID(archive.dataset("sources"))},
        )
        connection.rollback()
    assert [one for one in links if one.semantics == "#progenitor"] == []
    assert (views, ancestors) == ([0, 0, 0, 0], 0)


def test_a_reader_cannot_read_the_tables_behind_the_views(archive: Archive) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="permission denied"):
        rows(archive, "SELECT * FROM tapdb.provenance_edge")


def test_show_prints_a_tree(archive: Archive) -> None:
    shown = archive.tapdb("provenance", "show", archive.dataset("background_level"))
    assert shown.exit_code == 0, shown.output
    where = "detector=93 instrument=LSSTCam visit=2026030100001"
    assert shown.stdout == (
        f"background_level {where} [u/tests/first]\n"
        "└─ made by levels (success)\n"
        f"   └─ background {where} [u/tests/first]\n"
        "      └─ made by sources (success)\n"
        f"         └─ visit_image {where} [LSSTCam/runs/images]\n"
    )
    did = f"ivo://org.rubinobs/usdac/lsst-images?repo=images&id={archive.dataset('background_level')}"
    assert archive.tapdb("provenance", "show", did).stdout == shown.stdout
    short = archive.tapdb("provenance", "show", "--levels", "1", archive.dataset("background_level"))
    assert short.stdout.count("\n") == 3


def test_show_draws_a_picture_and_tells_programs(archive: Archive, tmp_path: Path) -> None:
    picture = tmp_path / "lineage.svg"
    level = archive.dataset("background_level")
    drawn = archive.tapdb("provenance", "show", "--format", "svg", "-o", str(picture), level)
    assert drawn.exit_code == 0, drawn.output
    root = ET.parse(picture).getroot()  # noqa: S314 - our own file
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}g")) == 3 + 2
    arrows = [one for one in root.findall(f"{space}path") if one.get("marker-end")]
    assert len(arrows) == 4
    boxes = [
        tuple(float(str(one.get(name))) for name in ("x", "y", "width", "height"))
        for one in root.iter(f"{space}rect")
    ]
    assert len({box[0] for box in boxes}) == 5
    assert all(box[0] + box[2] <= float(str(root.get("width"))) for box in boxes)
    told = json.loads(archive.tapdb("provenance", "show", "--format", "json", level).stdout)
    assert {one["dataset_type"]: one["level"] for one in told["datasets"]} == {
        "background_level": 0,
        "background": 1,
        "visit_image": 2,
    }


@pytest.mark.parametrize("did", ["16fd7640-4c5e-4059-ade5-bf049ec03705", "ivo://elsewhere/x?y"])
def test_a_dataset_of_which_nothing_is_known_is_one_message(archive: Archive, did: str) -> None:
    shown = archive.tapdb("provenance", "show", did)
    assert shown.exit_code == 1
    assert "nothing is known of how dataset" in shown.stderr
    assert "tapdb provenance load" in shown.stderr


def test_loading_again_changes_nothing(archive: Archive) -> None:
    statement = "SELECT count(*), md5(string_agg(e::text, ',' ORDER BY e::text)) FROM provenance.edge AS e"
    before = rows(archive, statement)
    again = archive.tapdb("provenance", "load", str(archive.repository.root), archive.done.run)
    assert again.exit_code == 0
    assert "Loaded u/tests/first: 8 quanta, 40 datasets, 44 edges." in again.stderr
    assert rows(archive, statement) == before


def test_a_run_without_a_graph_is_one_message(archive: Archive) -> None:
    for run in ("LSSTCam/runs/images", "no/such/run"):
        result = archive.tapdb("provenance", "load", str(archive.repository.root), run)
        assert result.exit_code == 1
        assert f"no graph of {run} was kept" in result.stderr


def test_a_repository_is_noted_so_that_it_is_found_from_any_folder(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.repository.root.parent)
    loaded = archive.tapdb("provenance", "load", archive.repository.root.name, archive.done.run)
    assert loaded.exit_code == 0, loaded.output
    with open_engine(archive.url) as engine, engine.connect() as connection:
        found = connection.scalar(sa.text("SELECT repository FROM tapdb.provenance_run"))
    assert found == str(archive.repository.root)


def test_ancestors_are_found_level_by_level_as_networkx_finds_them(archive: Archive) -> None:
    """A graph with diamonds, in which a recursive query would walk the same way many times."""
    width, depth = 4, 6
    layers = [[uuid4() for _ in range(width)] for _ in range(depth)]
    graph: nx.DiGraph = nx.DiGraph()
    edges = []
    for upper, lower in pairwise(layers):
        for number, made in enumerate(lower):
            quantum = uuid4()
            edges.append((quantum, made, False))
            for used in (upper[number], upper[(number + 1) % width], upper[(number + 2) % width]):
                edges.append((quantum, used, True))
                graph.add_edge(used, made)
    with open_engine(archive.url) as engine, engine.connect() as connection:
        insert = "INSERT INTO tapdb.provenance_edge VALUES (:q, :d, :r)"
        connection.execute(
            sa.text(insert),
            [{"q": quantum, "d": dataset, "r": is_read} for quantum, dataset, is_read in edges],
        )
        connection.execute(
            sa.text(
                "INSERT INTO tapdb.provenance_quantum VALUES (:q, 'u/tests/first', 't', '{}', 'success')"
            ),
            [{"q": quantum} for quantum in {one[0] for one in edges}],
        )
        for levels in (1, 3, 5):
            found = connection.execute(
                sa.text("SELECT level, used FROM tapdb.ancestors(:one, :levels)"),
                {"one": layers[-1][0], "levels": levels},
            ).all()
            distances = nx.single_source_shortest_path_length(graph.reverse(), layers[-1][0], cutoff=levels)
            assert {used for _, used in found} == set(distances) - {layers[-1][0]}
            lowest: dict[object, int] = {}
            for level, used in sorted(found, key=lambda one: one[0]):
                lowest.setdefault(used, level)
            assert lowest == {one: distance for one, distance in distances.items() if distance}
        connection.rollback()


def test_the_graph_of_a_failed_run_says_what_was_not_made(archive: Archive) -> None:
    with archive.repository.butler() as butler:
        assert {one.status for one in read_run(butler, archive.done.run).quanta} == {"success"}
    described = {
        "half": {
            "executable": "sh",
            "dimensions": ["instrument", "visit", "detector"],
            "arguments": ["-c", "[ {id.detector} = 93 ] && cat {inputs.image} > out.fits"],
            "inputs": {"image": {"dataset_type": "visit_image", "storage_class": "KeptFits"}},
            "outputs": {
                "copy": {"dataset_type": "half_copy", "storage_class": "KeptFits", "file": "out.fits"}
            },
        }
    }
    done = archive.tasks.run(described)
    with archive.repository.butler() as butler:
        found = read_run(butler, done.run)
    statuses = {one.data_id["detector"]: (one.status, one.problem) for one in found.quanta}
    assert statuses[93] == ("success", None)
    assert statuses[94][0] == "failure"
    assert "ended with exit code 1" in str(statuses[94][1])
    produced = {(one.dataset_type, one.data_id["detector"]): one.produced for one in found.datasets.values()}
    assert produced["half_copy", 93]
    assert not produced["half_copy", 94]
    assert produced["half_record", 94]
    assert produced["visit_image", 94]
