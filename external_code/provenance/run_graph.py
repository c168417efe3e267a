"""The graph of quanta and datasets of a RUN, as its repository has it.

It comes from the predicted graph that ``tapdb task run`` has kept, with what came of each quantum, or from
the ``run_provenance`` of ``butler ingest-graph``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from lsst.daf.butler import Butler
from lsst.pipe.base.pipeline_graph import TaskImportMode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphReader

from external_code.errors import GRAPH_TYPE, NoKeptGraphError
from external_code.running import REPORT_TYPE, find_run_dataset, kept_graph

INGESTED_TYPE = "run_provenance"
"""Dataset type of the graph that ``butler ingest-graph`` registers."""

_STATUS = {"SUCCESSFUL": "success", "FAILED": "failure", "BLOCKED": "skipped"}


@dataclass(frozen=True, slots=True)
class QuantumRow:
    """An execution of a task.

    Attributes
    ----------
    quantum
        Its UUID.
    task
        Label of its task.
    data_id
        Values of its dimensions.
    status
        ``success``, ``failure``, ``timeout``, ``skipped`` or ``unknown``.
    problem
        Why it failed.
    """

    quantum: UUID
    task: str
    data_id: Mapping[str, Any]
    status: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset that a quantum read or wrote, or was to write.

    Attributes
    ----------
    dataset
        Its UUID.
    run
        Its RUN.
    dataset_type
        Its dataset type.
    data_id
        Values of its dimensions.
    produced
        Whether it was there after the run.
    digest
        Digest of the values in its file; `None` if it is not known.
    """

    dataset: UUID
    run: str
    dataset_type: str
    data_id: Mapping[str, Any]
    produced: bool
    digest: str | None


@dataclass(slots=True)
class RunProvenance:
    """All that a RUN's graph says.

    Attributes
    ----------
    run
        Name of the RUN.
    source
        Dataset type of the graph.
    quanta
        The quanta.
    datasets
        The datasets, by UUID.
    edges
        UUID of a quantum, UUID of a dataset, and whether the quantum read it.
    """

    run: str
    source: str
    quanta: list[QuantumRow] = field(default_factory=list)
    datasets: dict[UUID, DatasetRow] = field(default_factory=dict)
    edges: list[tuple[UUID, UUID, bool]] = field(default_factory=list)


def read_run(butler: Butler, run: str) -> RunProvenance:
    """Return the graph of a RUN.

    Parameters
    ----------
    butler
        Butler of the repository.
    run
        Name of the RUN.

    Raises
    ------
    NoKeptGraphError
        Raised if no graph of it was kept.
    """
    if find_run_dataset(butler, GRAPH_TYPE, run) is not None:
        return _from_kept(butler, run)
    if (ref := find_run_dataset(butler, INGESTED_TYPE, run)) is not None:
        return _from_ingested(butler.get(ref), run)
    raise NoKeptGraphError(run, (GRAPH_TYPE, INGESTED_TYPE))


def _from_kept(butler: Butler, run: str) -> RunProvenance:
    outcomes = _outcomes(butler, run)
    found = RunProvenance(run, GRAPH_TYPE)
    with (
        kept_graph(butler, run) as file,
        PredictedQuantumGraphReader.open(file, import_mode=TaskImportMode.DO_NOT_IMPORT) as reader,
    ):
        reader.read_quantum_datasets()
        pipeline = reader.pipeline_graph
        tasks = {label: tuple(node.dimensions.required) for label, node in pipeline.tasks.items()}
        types = {node.name: tuple(node.dimensions.required) for node in pipeline.dataset_types.values()}
        models = reader.components.quantum_datasets.values()
    for model in models:
        outcome = outcomes.get(str(model.quantum_id), _UNKNOWN)
        data_id = dict(zip(tasks[model.task_label], model.data_coordinate, strict=False))
        found.quanta.append(
            QuantumRow(model.quantum_id, model.task_label, data_id, outcome.status, outcome.problem)
        )
        for is_read, group in ((True, model.inputs), (False, model.outputs)):
            for dataset in _datasets(group):
                identifier = dataset.dataset_id
                found.edges.append((model.quantum_id, identifier, is_read))
                if is_read and identifier in found.datasets:
                    continue
                text = str(identifier)
                # Keys are in the order of the dimensions: required ones first.
                values = dict(zip(types[dataset.dataset_type_name], dataset.data_coordinate, strict=False))
                found.datasets[identifier] = DatasetRow(
                    identifier,
                    dataset.run,
                    dataset.dataset_type_name,
                    values,
                    is_read or outcome.made(text),
                    outcome.digests.get(text),
                )
    return found


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a quantum, as the report says."""

    status: str
    problem: str | None
    missing: frozenset[str]
    digests: Mapping[str, str]

    def made(self, dataset: str) -> bool:
        return self.status != "unknown" and dataset not in self.missing


_UNKNOWN = _Outcome("unknown", None, frozenset(), {})


def _outcomes(butler: Butler, run: str) -> dict[str, _Outcome]:
    """Return what came of quanta, by their UUIDs; nothing of a run that has not come to its end."""
    ref = find_run_dataset(butler, REPORT_TYPE, run)
    if ref is None:
        return {}
    return {
        one["quantum"]: _Outcome(
            one["status"], one["problem"], frozenset(json.loads(one["missing"])), json.loads(one["digests"])
        )
        for one in butler.get(ref).to_pylist()
    }


def _datasets(groups: Mapping[str, list[Any]]) -> Iterator[Any]:
    for group in groups.values():
        yield from group


def _from_ingested(graph: Any, run: str) -> RunProvenance:
    found = RunProvenance(run, INGESTED_TYPE)
    nodes = graph.bipartite_xgraph
    for identifier, node in nodes.nodes(data=True):
        data_id = dict(node["data_id"].required)
        if "task_label" in node:
            problem = node.get("exception")
            found.quanta.append(
                QuantumRow(
                    identifier,
                    node["task_label"],
                    data_id,
                    _STATUS.get(node["status"].name, "unknown"),
                    None if problem is None else str(problem.message),
                )
            )
        else:
            found.datasets[identifier] = DatasetRow(
                identifier, node["run"], node["dataset_type_name"], data_id, bool(node["produced"]), None
            )
    for first, second, edge in nodes.edges(data=True):
        is_read = bool(edge["is_read"])
        found.edges.append((second, first, True) if is_read else (first, second, False))
    return found
