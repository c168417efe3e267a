"""Run a pipeline over a repository: graph, what is kept of it, execution, and what came of each quantum.

The graph is kept in the RUN as a dataset before anything runs, so that it is known later what made which
dataset, and so that datasets can be made again.
"""

import datetime as dt
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lsst.daf.butler import (  # type: ignore[attr-defined]  # CollectionType is public, but in no __all__
    Butler,
    CollectionType,
    DatasetType,
)
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.mp_graph_executor import MPGraphExecutor, MPGraphExecutorError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphComponents
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from external_code.errors import GRAPH_TYPE, NoKeptGraphError, NoQuantaError, RepositoryError, TaskFileError
from tapdb.errors import TapdbError

REPORT_TYPE = "tapdb_quantum_report"
"""Dataset type of what came of each quantum of a RUN: a table."""

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20
_EXECUTORS = ("mp_graph_executor", "single_quantum_executor")
_EXECUTED = "%d quanta successfully"
_NO_TIME_LIMIT_S = 30 * 86400.0
_REPORT = pa.schema(
    [
        pa.field("quantum", pa.string()),
        pa.field("task", pa.string()),
        pa.field("status", pa.string()),
        pa.field("problem", pa.string()),
        pa.field("missing", pa.string()),
        pa.field("digests", pa.string()),
    ]
)

QuantaDone = Callable[[int, int], None]
"""Called with how many quanta are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class QuantumOutcome:
    """What came of one quantum.

    Attributes
    ----------
    quantum
        Its UUID.
    task
        Label of its task.
    data_id
        Its data ID, in words.
    status
        ``success``, ``failure``, ``timeout`` or ``skipped``, where an input was not made.
    problem
        Why it failed.
    """

    quantum: str
    task: str
    data_id: str
    status: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What came of a run.

    Attributes
    ----------
    run
        Name of the RUN collection.
    outcomes
        What came of each quantum.
    """

    run: str
    outcomes: tuple[QuantumOutcome, ...]

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """How many quanta there are by task and status."""
        return dict(Counter((one.task, one.status) for one in self.outcomes))

    @property
    def failed(self) -> tuple[QuantumOutcome, ...]:
        """The quanta that did not succeed."""
        return tuple(one for one in self.outcomes if one.status != "success")


@contextmanager
def open_repository(repository: str, **options: Any) -> Iterator[Butler]:
    """Give a Butler for a repository.

    Parameters
    ----------
    repository
        Its folder, its ``butler.yaml``, or its label.
    **options
        Of ``Butler.from_config``.

    Raises
    ------
    RepositoryError
        Raised if it cannot be opened.
    """
    try:
        butler = Butler.from_config(repository, **options)
    except (OSError, RuntimeError, LookupError, ValueError) as error:
        raise RepositoryError(repository, f"cannot be opened: {error}") from error
    with butler:
        yield butler


def read_pipeline(file: str) -> Any:
    """Return the graph of a pipeline.

    Parameters
    ----------
    file
        Its file; ``#LABEL`` behind it takes a part.

    Raises
    ------
    TaskFileError
        Raised if it cannot be read, or is no pipeline.
    """
    try:
        return Pipeline.from_uri(file).to_graph()
    except Exception as error:
        # Configurations of pipelines are Python, which may raise anything.
        raise TaskFileError(file, f"cannot be read as a pipeline: {type(error).__name__}: {error}") from error


def build_graph(
    butler: Butler, pipeline: Any, *, run: str, where: str = "", output: str = "", name: str = "pipeline"
) -> PredictedQuantumGraphComponents:
    """Return the graph of all quanta of a pipeline over the collections of a Butler.

    Parameters
    ----------
    butler
        Butler with input collections.
    pipeline
        Graph of the pipeline.
    run
        Name of the RUN for outputs.
    where
        Condition on data IDs.
    output
        Name of the collection that is a chain of the RUN and the inputs.
    name
        Name of the pipeline, for messages.

    Raises
    ------
    NoQuantaError
        Raised if there is nothing to run.
    RepositoryError
        Raised if inputs that a quantum cannot do without are missing, or if the condition is wrong.
    """
    builder = AllDimensionsQuantumGraphBuilder(pipeline, butler, output_run=run, where=where)
    try:
        components = builder.finish(output=output or None, attach_datastore_records=True)
    except KeyError as error:
        if "visit_detector_region" not in str(error):
            raise
        raise RepositoryError(
            name, "visits have no regions of detectors (visit_detector_region)", "Define visits first."
        ) from error
    except Exception as error:
        # Registries and expressions raise dozens of classes; all of them say what is wrong with the data.
        raise RepositoryError(name, f"no graph can be made: {type(error).__name__}: {error}") from error
    if not components.quantum_datasets:
        collections = ", ".join(butler.collections.defaults)
        raise NoQuantaError(name, where, (f"Collections that were searched: {collections}.",))
    return components


def run_pipeline(
    repository: str,
    pipeline_file: str,
    *,
    inputs: Sequence[str],
    output: str,
    where: str = "",
    processes: int = 1,
    run: str | None = None,
    progress: QuantaDone | None = None,
) -> RunSummary:
    """Run a pipeline; what fails does not keep other quanta from running.

    Parameters
    ----------
    repository
        Folder or label of the repository.
    pipeline_file
        File of the pipeline.
    inputs
        Collections that inputs are searched in.
    output
        Collection that is made a chain of the new RUN and the inputs.
    where
        Condition on data IDs.
    processes
        How many quanta run at once.
    run
        Name of the RUN; the output's and the time by default.
    progress
        Called after each quantum.

    Raises
    ------
    TaskFileError, RepositoryError, NoQuantaError
        Raised before anything runs.
    """
    pipeline = read_pipeline(pipeline_file)
    name = run or f"{output}/{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
    with open_repository(repository, collections=list(inputs)) as reader:
        graph_parts = build_graph(reader, pipeline, run=name, where=where, output=output, name=pipeline_file)
    with open_repository(repository, collections=list(inputs), run=name, writeable=True) as butler:
        graph = graph_parts.assemble()
        graph.pipeline_graph.register_dataset_types(butler)
        graph.write_init_outputs(butler)
        graph.write_configs(butler)
        graph.write_packages(butler)
        keep_graph(butler, graph_parts)
        _chain(butler, output, name, inputs)
        outcomes = execute_graph(butler, graph, processes=processes, progress=progress)
        keep_report(butler, outcomes, graph_parts)
    return RunSummary(name, outcomes)


def execute_graph(
    butler: Butler, graph: PredictedQuantumGraph, *, processes: int = 1, progress: QuantaDone | None = None
) -> tuple[QuantumOutcome, ...]:
    """Run all quanta of a graph, and return what came of each.

    Parameters
    ----------
    butler
        Butler whose RUN is that of the graph.
    graph
        The graph.
    processes
        How many quanta run at once.
    progress
        Called after each quantum.
    """
    executor = MPGraphExecutor(
        num_proc=processes,
        timeout=_NO_TIME_LIMIT_S,
        quantum_executor=SingleQuantumExecutor(butler=butler, assume_no_existing_outputs=True),
    )
    # Connections cannot be shared with processes.
    butler.registry.resetConnectionPool()
    with _told(progress, len(graph)), _short_log():
        try:
            executor.execute(graph)
        except MPGraphExecutorError as error:
            # Some quanta failed: which, and why, is in the report.
            _LOG.info("%s", error)
    report: Any = executor.getReport()
    # Reports of quanta that failed do not always have their identifiers.
    reports = {_key(one.taskLabel, one.dataId): one for one in report.quantaReports}
    nodes = graph.quantum_only_xgraph.nodes
    return tuple(
        _outcome(str(quantum), nodes[quantum], reports.get(_node_key(nodes[quantum])))
        for quantum in sorted(nodes, key=str)
    )


def _key(task: str, data_id: Any) -> tuple[str, frozenset[tuple[str, Any]]]:
    return task, frozenset((str(name), value) for name, value in data_id.items())


def _node_key(node: Any) -> tuple[str, frozenset[tuple[str, Any]]]:
    return _key(node["task_label"], node["data_id"].required)


def _outcome(quantum: str, node: Any, report: Any) -> QuantumOutcome:
    info = None if report is None else report.exceptionInfo
    status = "skipped" if report is None else str(report.status.value)
    problem = None if info is None else str(info.message)
    return QuantumOutcome(quantum, node["task_label"], _words(node["data_id"]), status, problem)


def _words(data_id: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in data_id.required.items())


@contextmanager
def _told(progress: QuantaDone | None, total: int) -> Iterator[None]:
    """Call a function as the executor's log says how far it is."""
    if progress is None:
        yield
        return
    handler = _ProgressHandler(progress, total)
    logger = logging.getLogger("lsst.pipe.base.mp_graph_executor")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    propagates, logger.propagate = (
        logger.propagate,
        logger.isEnabledFor(logging.INFO) and level <= logging.INFO,
    )
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


@contextmanager
def _short_log() -> Iterator[None]:
    """Log that programs failed without where in this package that was found; the outcome says why."""
    loggers = [logging.getLogger(f"lsst.pipe.base.{name}") for name in _EXECUTORS]
    for logger in loggers:
        logger.addFilter(_without_traceback)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], TapdbError):
        record.exc_info = None
    return True


class _ProgressHandler(logging.Handler):
    """Reads how many quanta are done from the executor's log."""

    def __init__(self, progress: QuantaDone, total: int) -> None:
        super().__init__()
        self._progress = progress
        self._total = total

    def emit(self, record: logging.LogRecord) -> None:
        """Tell how many are done if the record says so."""
        if _EXECUTED in str(record.msg) and isinstance(record.args, tuple):
            numbers = [one for one in record.args if isinstance(one, int)]
            self._progress(sum(numbers[:2]), self._total)


def keep_graph(butler: Butler, components: PredictedQuantumGraphComponents) -> None:
    """Put a graph into the RUN of a Butler, as a dataset that every repository can hold.

    Parameters
    ----------
    butler
        Butler whose RUN is that of the graph.
    components
        The graph.
    """
    with tempfile.TemporaryDirectory(prefix="tapdb-graph-") as folder:
        file = Path(folder) / "graph.qg"
        components.write(str(file))
        content = file.read_bytes()
    blocks = [content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK)]
    _put(butler, GRAPH_TYPE, pa.table({"block": pa.array(blocks, pa.binary())}))


@contextmanager
def kept_graph(butler: Butler, run: str) -> Iterator[str]:
    """Give the file of the graph that was kept in a RUN; it is removed afterwards.

    Parameters
    ----------
    butler
        Butler.
    run
        Name of the RUN.

    Raises
    ------
    NoKeptGraphError
        Raised if none was kept.
    """
    ref = find_run_dataset(butler, GRAPH_TYPE, run)
    if ref is None:
        raise NoKeptGraphError(run, (GRAPH_TYPE,))
    with tempfile.TemporaryDirectory(prefix="tapdb-graph-") as folder:
        file = Path(folder) / "graph.qg"
        # Butler's own reader would load pandas, which takes longer than all else here.
        with butler.getURI(ref).as_local() as stored, pq.ParquetFile(stored.ospath) as table:
            file.write_bytes(b"".join(table.read().column("block").to_pylist()))
        yield str(file)


def find_run_dataset(butler: Butler, name: str, run: str) -> Any:
    """Return the reference of a dataset without dimensions in a RUN; `None` if there is none.

    Parameters
    ----------
    butler
        Butler.
    name
        Dataset type.
    run
        Name of the RUN.
    """
    if not list(butler.registry.queryDatasetTypes(name)):
        return None
    found = butler.find_dataset(name, collections=[run])
    return found if found is not None and butler.stored(found) else None


def keep_report(
    butler: Butler, outcomes: Sequence[QuantumOutcome], components: PredictedQuantumGraphComponents
) -> None:
    """Put what came of each quantum, which of its outputs are missing, and digests of the others' files.

    Parameters
    ----------
    butler
        Butler whose RUN is that of the graph.
    outcomes
        What came of each quantum.
    components
        The graph.
    """
    outputs = {
        str(model.quantum_id): [one for group in model.outputs.values() for one in group]
        for model in components.quantum_datasets.values()
    }
    names = {one.dataset_type_name for group in outputs.values() for one in group}
    there = {
        str(ref.id): ref
        for name in names
        for ref in butler.query_datasets(
            name, collections=[_run_of(butler)], find_first=False, explain=False, limit=None
        )
    }
    records = {
        node.config.record
        for node in components.pipeline_graph.tasks.values()
        if hasattr(node.config, "record")
    }
    rows = []
    for one in outcomes:
        digests: dict[str, str] = {}
        identifiers = [str(output.dataset_id) for output in outputs[one.quantum]]
        for identifier in identifiers:
            if identifier in there and there[identifier].datasetType.name in records:
                digests |= record_digests(butler.get(there[identifier]))
        rows.append(
            {
                **{name: getattr(one, name) for name in ("quantum", "task", "status", "problem")},
                "missing": json.dumps([identifier for identifier in identifiers if identifier not in there]),
                "digests": json.dumps(digests),
            }
        )
    _put(butler, REPORT_TYPE, pa.Table.from_pylist(rows, schema=_REPORT))


def _run_of(butler: Butler) -> str:
    if butler.run is None:
        raise RepositoryError("butler", "it writes into no RUN")
    return butler.run


def record_digests(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests that the record of an execution has of its outputs, by UUID.

    Parameters
    ----------
    record
        The record, as ``butler.get`` gives it.
    """
    return {str(one["dataset"]): str(one["digest"]) for one in record.get("outputs", {}).values()}


def _put(butler: Butler, name: str, table: pa.Table) -> None:
    dataset_type = DatasetType(name, butler.dimensions.empty, "ArrowTable")
    butler.registry.registerDatasetType(dataset_type)
    butler.put(table, dataset_type)


def _chain(butler: Butler, output: str, run: str, inputs: Sequence[str]) -> None:
    """Make the output a chain of the RUN, what it had before, and the inputs."""
    if output == run:
        return
    is_new = butler.collections.register(output, CollectionType.CHAINED)
    known = butler.collections.get_info(output)
    if known.type is not CollectionType.CHAINED:
        raise RepositoryError(output, "is a collection already, and no chain", "Name another output.")
    before = () if is_new else known.children
    butler.collections.redefine_chain(output, list(dict.fromkeys([run, *before, *inputs])))
