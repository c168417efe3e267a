"""Make a dataset again that was purged: under its own UUID, by the quanta that made it, from the kept graph.

Quanta run in a repository of their own, in a folder that is removed: what is still stored is never written
over. Then the one dataset moves over, and is registered again if it was forgotten.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID

import sqlalchemy as sa
from lsst.daf.butler import Butler, Config, DatasetRef
from lsst.daf.butler import ButlerConfig as RepositoryConfig
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from external_code.digests import same_values
from external_code.errors import RecreationError, UnknownProvenanceError
from external_code.provenance.lineage import Producer, producer_of
from external_code.running import execute_graph, kept_graph, open_repository, record_digests

_DATASET = sa.table("provenance_dataset", *map(sa.column, ("dataset", "digest")), schema="tapdb")
_EDGE = sa.table("provenance_edge", *map(sa.column, ("quantum", "dataset", "is_read")), schema="tapdb")
_LOCK_CLASS = 0x7A7D


@dataclass(frozen=True, slots=True)
class Recreated:
    """What came of making a dataset again.

    Attributes
    ----------
    dataset
        Its UUID.
    quanta
        How many quanta ran; 0 if the dataset was there.
    compared
        Whether its values were compared with a digest that was known.
    seconds
        How long it took.
    """

    dataset: UUID
    quanta: int
    compared: bool
    seconds: float


@dataclass(slots=True)
class _Remaking:
    """What is to be run for a dataset.

    Attributes
    ----------
    quanta
        Quanta by RUN, the RUN of the first ones first.
    given
        Datasets that are stored and that the quanta read.
    made
        Datasets that are missing: the wanted one, and what it was made of.
    """

    quanta: dict[str, list[UUID]] = field(default_factory=dict)
    given: set[UUID] = field(default_factory=set)
    made: list[UUID] = field(default_factory=list)


def recreate(
    connection: sa.Connection, dataset: UUID, *, with_inputs: bool = False, allow_different: bool = False
) -> Recreated:
    """Make a dataset again if it is not stored; of two that want the same one, the second finds it there.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_service`` to the database that provenance was loaded into.
    dataset
        UUID of the dataset.
    with_inputs
        Whether purged datasets that had to be made for it are kept, too.
    allow_different
        Whether a dataset with other values than before is kept.

    Raises
    ------
    UnknownProvenanceError, NoKeptGraphError
        Raised if nothing is known of how it was made.
    RecreationError
        Raised if an input cannot be had, if a quantum fails, or if values differ.
    """
    began = time.monotonic()
    with _alone(connection, dataset):
        producer = producer_of(connection, dataset)
        connection.commit()
        if producer is None:
            raise UnknownProvenanceError(str(dataset))
        repository = producer.repository
        with open_repository(repository, writeable=True) as butler:
            if _is_stored(butler, dataset):
                return Recreated(dataset, 0, compared=False, seconds=time.monotonic() - began)
            plan = _plan(connection, butler, dataset)
            with (
                tempfile.TemporaryDirectory(prefix="tapdb-recreate-") as folder,
                _Scratch(butler, repository, Path(folder)) as scratch,
            ):
                for run, quanta in plan.quanta.items():
                    scratch.run(run, quanta, plan.given)
                compared = scratch.compare(dataset, _digest(connection, dataset), allowed=allow_different)
                scratch.hand_over(plan.made if with_inputs else [dataset])
    count = sum(map(len, plan.quanta.values()))
    return Recreated(dataset, count, compared=compared, seconds=time.monotonic() - began)


@contextmanager
def _alone(connection: sa.Connection, dataset: UUID) -> Iterator[None]:
    """Hold a lock of the dataset's own; who comes meanwhile waits."""
    key = int.from_bytes(dataset.bytes[-4:], "big", signed=True)
    connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK_CLASS, key)))
    # No transaction stays open while programs run.
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK_CLASS, key)))
        connection.commit()


def _digest(connection: sa.Connection, dataset: UUID) -> str | None:
    found = connection.scalar(sa.select(_DATASET.c.digest).where(_DATASET.c.dataset == dataset))
    connection.commit()
    return found


def _is_stored(butler: Butler, dataset: UUID) -> bool:
    ref = butler.get_dataset(dataset)
    return ref is not None and butler.stored(ref)


def _plan(connection: sa.Connection, butler: Butler, dataset: UUID) -> _Remaking:
    """Find the quanta that make a dataset, and what they read that is missing: upwards until all is there."""
    plan = _Remaking(made=[dataset])
    quanta: dict[UUID, str] = {}
    waiting = [dataset]
    while waiting:
        wanted = waiting.pop()
        quantum, run, _ = _producer(connection, wanted, dataset)
        # What is needed further up comes first.
        quanta.pop(quantum, None)
        quanta[quantum] = run
        for used in _inputs(connection, quantum):
            if used in plan.given:
                continue
            if _is_stored(butler, used):
                plan.given.add(used)
            else:
                if used not in plan.made:
                    plan.made.append(used)
                waiting.append(used)
    for quantum, run in reversed(quanta.items()):
        plan.quanta.setdefault(run, []).append(quantum)
    connection.commit()
    return plan


def _producer(connection: sa.Connection, wanted: UUID, dataset: UUID) -> Producer:
    producer = producer_of(connection, wanted)
    if producer is None:
        raise RecreationError(
            str(dataset),
            f"its input {wanted} is not stored, and nothing is known of how that was made",
            "Store it again, or load the provenance of its RUN: tapdb provenance load REPO RUN",
        )
    return producer


def _inputs(connection: sa.Connection, quantum: UUID) -> Sequence[UUID]:
    query = sa.select(_EDGE.c.dataset).where(_EDGE.c.quantum == quantum, _EDGE.c.is_read)
    return connection.scalars(query.order_by(_EDGE.c.dataset)).all()


class _Scratch:
    """A repository in a folder of its own, with what quanta read, for what they write.

    Parameters
    ----------
    butler
        Butler of the repository that is to get the dataset.
    repository
        Its name.
    folder
        Folder for the files.
    """

    def __init__(self, butler: Butler, repository: str, folder: Path) -> None:
        self._butler = butler
        config = _scratch_config(repository)
        made = Butler.makeRepo(str(folder), config, dimensionConfig=butler.dimensions.dimensionConfig)
        # One for all that follows: to read a registry takes longer than to run most programs.
        self._scratch = Butler.from_config(made, writeable=True)
        self._records: dict[UUID, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.close()

    def run(self, run: str, quanta: Sequence[UUID], given: Iterable[UUID]) -> None:
        """Run quanta of one RUN, given datasets that are stored.

        Raises
        ------
        RecreationError
            Raised if one fails.
        """
        self._scratch = scratch = self._scratch.clone(run=run)
        with kept_graph(self._butler, run) as file:
            graph = PredictedQuantumGraph.read_execution_quanta(file, quantum_ids=list(quanta))
            executable = graph.build_execution_quanta(quanta)
            refs = [ref for one in given if (ref := self._butler.get_dataset(one)) is not None]
            scratch.transfer_from(
                self._butler,
                refs,
                transfer="unsafe_direct",
                register_dataset_types=True,
                transfer_dimensions=True,
            )
            outputs = [ref for one in executable.values() for refs in one.outputs.values() for ref in refs]
            scratch.transfer_dimension_records_from(self._butler, outputs)
            for dataset_type in {ref.datasetType for ref in outputs}:
                scratch.registry.registerDatasetType(dataset_type)
            graph.write_init_outputs(scratch)
            outcomes = execute_graph(scratch, graph)
            for one in outcomes:
                if one.status != "success":
                    raise RecreationError(
                        one.quantum, f"task {one.task} ended with {one.status}: {one.problem}"
                    )
            for ref in outputs:
                if ref.datasetType.storageClass_name == "StructuredDataDict" and scratch.stored(ref):
                    record = scratch.get(ref)
                    if isinstance(record, Mapping) and "executable_sha256" in record:
                        self._records |= {UUID(key): value for key, value in record_digests(record).items()}

    def compare(self, dataset: UUID, digest: str | None, *, allowed: bool) -> bool:
        """Compare the values of a dataset with a digest; return whether one was known.

        Raises
        ------
        RecreationError
            Raised if they differ, or if the dataset was not made.
        """
        ref = self._scratch.get_dataset(dataset)
        if ref is None or not self._scratch.stored(ref):
            raise RecreationError(str(dataset), "its quantum ran, and did not write it")
        if digest is None:
            return False
        same = (
            self._records[dataset] == digest
            if dataset in self._records
            else same_values(Path(self._scratch.getURI(ref).ospath), digest)
        )
        if not same and not allowed:
            raise RecreationError(
                str(dataset),
                "its values are not those that it had",
                "The program, its libraries or an input have changed. To keep it: --allow-different",
            )
        return True

    def hand_over(self, datasets: Iterable[UUID]) -> None:
        """Copy datasets into the repository that is to have them, under their UUIDs."""
        refs: list[DatasetRef] = [
            ref
            for one in datasets
            if (ref := self._scratch.get_dataset(one)) is not None and self._scratch.stored(ref)
        ]
        self._butler.transfer_from(
            self._scratch, refs, transfer="copy", skip_missing=False, register_dataset_types=True
        )


def _scratch_config(repository: str) -> Config:
    """Return the configuration of a repository without its registry and its places: SQLite, one folder."""
    # What the repository itself says: all else is the default of the new one too.
    given = Config(RepositoryConfig(repository).configFile)
    config = Config()
    if "storageClasses" in given:
        config["storageClasses"] = given["storageClasses"]
    if "datastore" not in given:
        return config
    datastore = given["datastore"]
    while "datastores" in datastore:
        first = datastore["datastores"][0]
        # A Config is a mapping whose get() takes no default of another type.
        datastore = first["datastore"] if "datastore" in first else first  # noqa: SIM401
    for name in ("formatters", "templates", "composites"):
        if name in datastore:
            config["datastore", name] = datastore[name]
    return config
