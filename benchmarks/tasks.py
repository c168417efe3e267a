"""Programs over Butler data: what the wrapper adds, provenance of 10,000 quanta, ancestors, recreation.

Times of quanta are slopes between two sizes of a run, so that what comes once a run is not in them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy as sa
import yaml
from alembic import command
from lsst.daf.butler import Butler, Config, DatasetType
from lsst.pipe.base import Pipeline
from lsst.pipe.base.script.transfer_from_graph import transfer_from_graph
from psycopg import sql

from benchmarks.results_file import RESULTS, Reach, missed, print_table, say, write_results
from examples.images import ImageRepository, ImageSurvey, make_image_repository
from examples.images.repository import IMAGE_RUN
from external_code.config import RECORD
from external_code.description import DescribedPipeline, pipeline_text
from external_code.provenance.loading import copy_edges, load_run, unload_run
from external_code.provenance.run_graph import read_run
from external_code.running import (
    QuantumOutcome,
    build_graph,
    execute_graph,
    keep_graph,
    keep_report,
    kept_graph,
    open_repository,
    read_pipeline,
    run_pipeline,
)
from external_code.storage import storage_options
from external_code.task import WrapperTask
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import checked_connection, create_database, driver_connection
from tapdb.postgres.extensions import install_extensions
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "EmptyTask", "main", "measure_tasks"]

REACHES = (
    Reach("overhead_s", 0.3, "s of a quantum beyond one of an empty PipelineTask with the same puts"),
    Reach("provenance_ratio", 20, "loading a RUN of 10,000 quanta / COPY of its edges"),
    Reach("ancestors_ratio", 50, "ancestors of a dataset, 5 levels among 1,000,000 edges / one look-up"),
    Reach("recreate_ratio", 1.5, "tapdb recreate / pipetask run-qbb of the node, each in a process"),
)

_SMALL, _LARGE = 16, 64
_DIMENSIONS = ("instrument", "visit", "detector")
_IMAGE = {"dataset_type": "visit_image", "storage_class": "KeptFits"}
_PROGRAM = "from tapdb.cli.root import main; main()"


class EmptyTask(WrapperTask):
    """Puts what the wrapper puts, and runs nothing."""

    _DefaultName = "empty"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: ARG002, N802, N803
        """Put a record of the usual size."""
        butlerQC.put({"stdout": "", "argv": ["true"], "files": []}, getattr(outputRefs, RECORD))


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/tasks.json``; return 1 if something was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tasks", description=__doc__)
    parser.add_argument("--quanta", type=int, default=10_000, help="quanta whose provenance is loaded")
    parser.add_argument("--edges", type=int, default=1_000_000, help="edges among which ancestors are")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIRECTORY")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tapdb-tasks-") as folder:
        figures = measure_tasks(Path(folder), quanta=given.quanta, edges=given.edges, rounds=given.rounds)
    write_results("tasks", figures, given.output)
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def measure_tasks(folder: Path, *, quanta: int, edges: int, rounds: int) -> dict[str, float]:
    """Return the figures.

    Parameters
    ----------
    folder
        Folder for servers, repositories and files.
    quanta
        Quanta whose provenance is loaded.
    edges
        Edges among which ancestors are.
    rounds
        How often each is measured.
    """
    figures = _measure_overhead(folder, rounds)
    with EphemeralServer() as server:
        url = create_database(server.url(), "tasks", template="template0")
        with checked_connection(url) as connection:
            install_extensions(connection)
            command.upgrade(alembic_config(connection, obscore="off"), "head")
            connection.commit()
        figures |= _measure_provenance(folder, url, quanta, rounds)
        figures |= _measure_ancestors(url, edges, rounds)
        figures |= _measure_recreation(folder, url, rounds)
    return figures


def _measure_overhead(folder: Path, rounds: int) -> dict[str, float]:
    say(f"runs of {_SMALL} and {_LARGE} quanta, wrapped and empty")
    # 4 detectors in 16 visits.
    survey = ImageSurvey(epochs=8, detector_ids=(93, 94, 95, 96), star_count=50)
    repository = make_image_repository(folder / "images", survey)
    visits = sorted(pointing.id for pointing in survey.pointings())
    where = {_SMALL: f"visit <= {visits[_SMALL // 4 - 1]}", _LARGE: "visit > 0"}
    slopes: dict[str, list[float]] = {"wrapped": [], "empty": []}
    for number in range(rounds):
        for name, task in (("wrapped", WrapperTask), ("empty", EmptyTask)):
            pipeline = _pipeline(folder, name, task)
            took = {
                size: _time_run(repository, pipeline, condition, f"u/{name}/{number}/{size}")
                for size, condition in where.items()
            }
            slopes[name].append((took[_LARGE] - took[_SMALL]) / (_LARGE - _SMALL))
    wrapped, empty = median(slopes["wrapped"]), median(slopes["empty"])
    return {"wrapped_quantum_s": wrapped, "empty_quantum_s": empty, "overhead_s": wrapped - empty}


def _pipeline(folder: Path, name: str, task: type[WrapperTask]) -> Path:
    described = {
        "executable": "true",
        "dimensions": list(_DIMENSIONS),
        "arguments": ["{inputs.image}"],
        "inputs": {"image": _IMAGE},
    }
    content = {"description": name, "tasks": {name: described}}
    text = yaml.safe_load(pipeline_text(DescribedPipeline.model_validate(content)))
    text["tasks"][name]["class"] = f"{task.__module__}.{task.__name__}"
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(text))
    return file


def _time_run(repository: ImageRepository, pipeline: Path, where: str, run: str) -> float:
    """Return the seconds of the quanta alone."""
    with open_repository(str(repository.root), collections=[IMAGE_RUN], run=run, writeable=True) as butler:
        parts = build_graph(butler, read_pipeline(str(pipeline)), run=run, where=where)
        graph = parts.assemble()
        graph.pipeline_graph.register_dataset_types(butler)
        graph.write_init_outputs(butler)
        began = time.perf_counter()
        outcomes = execute_graph(butler, graph)
        took = time.perf_counter() - began
    assert {one.status for one in outcomes} == {"success"}
    return took


def _measure_provenance(folder: Path, url: sa.URL, quanta: int, rounds: int) -> dict[str, float]:
    say(f"the graph of {quanta} quanta")
    root = folder / "large"
    Butler.makeRepo(str(root), config=Config(storage_options()))
    run = "u/large"
    with Butler.from_config(str(root), writeable=True, run="in") as butler:
        instrument = {"name": "Cam", "class_name": "none", "detector_max": quanta}
        butler.registry.insertDimensionData("instrument", instrument)
        rows = [{"instrument": "Cam", "id": one, "full_name": f"D{one}"} for one in range(quanta)]
        butler.registry.insertDimensionData("detector", *rows)
        given = DatasetType("given", ("instrument", "detector"), "KeptFits", universe=butler.dimensions)
        butler.registry.registerDatasetType(given)
        data_ids = [{"instrument": "Cam", "detector": one} for one in range(quanta)]
        butler.registry.insertDatasets(given, data_ids, run="in")
    described = {
        "executable": "true",
        "dimensions": ["instrument", "detector"],
        "arguments": ["{inputs.image}"],
        "inputs": {"image": {"dataset_type": "given", "storage_class": "KeptFits"}},
        "outputs": {"image": {"dataset_type": "made", "storage_class": "KeptFits", "file": "o.fits"}},
    }
    content = {"description": "many", "tasks": {"many": described}}
    pipeline = Pipeline.from_uri(str(_written(folder, content))).to_graph()
    with Butler.from_config(str(root), writeable=True, collections=["in"], run=run) as butler:
        parts = build_graph(butler, pipeline, run=run)
        parts.assemble().pipeline_graph.register_dataset_types(butler)
        keep_graph(butler, parts)
        outcomes = [
            QuantumOutcome(str(one), "many", "", "success", None) for one in sorted(parts.quantum_datasets)
        ]
        keep_report(butler, outcomes, parts)
    loads, copies = [], []
    with Butler.from_config(str(root)) as butler, checked_connection(url) as connection:
        for _ in range(rounds):
            began = time.perf_counter()
            found = read_run(butler, run)
            load_run(connection, found, str(root))
            connection.commit()
            loads.append(time.perf_counter() - began)
            unload_run(connection, run)
            connection.commit()
            began = time.perf_counter()
            copy_edges(connection, found.edges)
            # SQLAlchemy knows of no transaction: COPY was the driver's.
            driver_connection(connection).commit()
            copies.append(time.perf_counter() - began)
            _truncate(url)
    return {
        "provenance_quanta": quanta,
        "provenance_edges": len(found.edges),
        "provenance_load_s": median(loads),
        "provenance_copy_s": median(copies),
        "provenance_ratio": median(loads) / median(copies),
    }


def _written(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "many.yaml"
    file.write_text(pipeline_text(DescribedPipeline.model_validate(content)))
    return file


def _truncate(url: sa.URL) -> None:
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute("TRUNCATE tapdb.provenance_edge")


def _plain(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _edges(count: int) -> Iterator[tuple[UUID, UUID, bool]]:
    """Yield edges of quanta that read two datasets of the thousand before the one that they write."""
    random = Random(7)
    for number in range(count // 3):
        quantum = UUID(int=(1 << 100) + number)
        yield quantum, UUID(int=number + 2000), False
        for _ in range(2):
            yield quantum, UUID(int=number + 2000 - random.randint(1, 1000)), True


def _measure_ancestors(url: sa.URL, edges: int, rounds: int) -> dict[str, float]:
    say(f"ancestors among {edges} edges")
    with checked_connection(url) as connection:
        copy_edges(connection, _edges(edges))
        driver_connection(connection).commit()
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute("INSERT INTO tapdb.provenance_run VALUES ('ancestors', '', '', true, '')")
        with connection.cursor() as cursor, cursor.copy(_COPY_QUANTA) as copy:
            for number in range(edges // 3):
                copy.write_row((UUID(int=(1 << 100) + number), "ancestors", "t", "{}", "success"))
        connection.execute("VACUUM ANALYZE tapdb.provenance_edge, tapdb.provenance_quantum")
        datasets = [UUID(int=2000 + edges // 3 - 1 - 37 * number) for number in range(20 * rounds)]
        found = [connection.execute(_ANCESTORS, (one,), prepare=True).fetchone() for one in datasets]
        walk = _median_s(
            lambda one: connection.execute(_ANCESTORS, (one,), prepare=True).fetchall(), datasets
        )
        look = _median_s(lambda one: connection.execute(_LOOK_UP, (one,), prepare=True).fetchall(), datasets)
        counts = [row[0] for row in found if row is not None]
    return {
        "ancestors_edges": edges,
        "ancestors_found": median(counts),
        "ancestors_ms": 1e3 * walk,
        "ancestors_look_up_ms": 1e3 * look,
        "ancestors_ratio": walk / look,
    }


_COPY_QUANTA = sql.SQL("COPY tapdb.provenance_quantum (quantum, run, task, data_id, status) FROM STDIN")
_ANCESTORS = "SELECT count(DISTINCT used) FROM tapdb.ancestors(%s, 5)"
_LOOK_UP = "SELECT quantum FROM tapdb.provenance_edge WHERE dataset = %s AND NOT is_read"


def _median_s(do: Callable[[UUID], object], datasets: Sequence[UUID]) -> float:
    took = []
    for one in datasets:
        began = time.perf_counter()
        do(one)
        took.append(time.perf_counter() - began)
    return median(took)


def _measure_recreation(folder: Path, url: sa.URL, rounds: int) -> dict[str, float]:
    say("one dataset made again, in processes of their own")
    survey = ImageSurvey(epochs=1, filters=("g_6",), detector_ids=(93,))
    repository = make_image_repository(folder / "again", survey, url=url)
    described = {
        "executable": "sh",
        "dimensions": list(_DIMENSIONS),
        "arguments": ["-c", "cp {inputs.image} copy.fits"],
        "inputs": {"image": _IMAGE},
        "outputs": {"copy": {"dataset_type": "copy", "storage_class": "KeptFits", "file": "copy.fits"}},
    }
    pipeline = _written(folder, {"description": "copies", "tasks": {"copies": described}})
    done = run_pipeline(
        str(repository.root), str(pipeline), inputs=[IMAGE_RUN], output="u/again", run="u/again/run"
    )
    graph = folder / "again.qg"
    with repository.butler() as butler, checked_connection(url) as connection:
        load_run(connection, read_run(butler, done.run), str(repository.root))
        connection.commit()
        with kept_graph(butler, done.run) as file:
            graph.write_bytes(Path(file).read_bytes())
        (ref,) = butler.query_datasets("copy", collections=[done.run])
    ours, theirs = [], []
    tapdb = [sys.executable, "-c", _PROGRAM, "recreate", "--here", str(ref.id)]
    (node,) = (one.quantum for one in done.outcomes)
    run_qbb = [str(Path(sys.executable).with_name("pipetask")), "run-qbb", str(repository.root), str(graph)]
    for _ in range(rounds):
        _unstore(repository, done.run, ("copy",))
        ours.append(_time_process(tapdb, url))
        _unstore(repository, done.run, ("copy", "copies_record", "copies_metadata", "copies_log"))
        theirs.append(_time_process([*run_qbb, "--qgraph-node-id", node], url))
        _restore(repository, graph)
    return {
        "recreate_s": median(ours),
        "run_qbb_s": median(theirs),
        "recreate_ratio": median(ours) / median(theirs),
    }


def _unstore(repository: ImageRepository, run: str, names: Sequence[str]) -> None:
    with repository.butler(writeable=True) as butler:
        refs = [ref for name in names for ref in butler.query_datasets(name, collections=[run])]
        butler.pruneDatasets(refs, disassociate=False, unstore=True, purge=False)


def _restore(repository: ImageRepository, graph: Path) -> None:
    transfer_from_graph(
        str(graph),
        str(repository.root),
        register_dataset_types=False,
        transfer_dimensions=False,
        update_output_chain=False,
        dry_run=False,
        dataset_type=(),
    )


def _time_process(arguments: Sequence[str], url: sa.URL) -> float:
    began = time.perf_counter()
    subprocess.run(arguments, env=client_environment(url), check=True, capture_output=True)
    return time.perf_counter() - began
