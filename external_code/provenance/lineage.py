"""What a dataset was made of, read from PostgreSQL as a reader may see it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from external_code.errors import GRAPH_TYPE, NoKeptGraphError, UnknownProvenanceError

_DATASET = sa.table(
    "dataset",
    *map(sa.column, ("dataset_id", "dataset_type", "run", "data_id", "produced")),
    schema="provenance",
)
_QUANTUM = sa.table(
    "quantum", *map(sa.column, ("quantum_id", "run", "task", "data_id", "status")), schema="provenance"
)

_LOADED_RUN = sa.table("provenance_run", *map(sa.column, ("run", "repository", "source")), schema="tapdb")
_LOADED_QUANTUM = sa.table("provenance_quantum", *map(sa.column, ("quantum", "run")), schema="tapdb")
_EDGE = sa.table("provenance_edge", *map(sa.column, ("quantum", "dataset", "is_read")), schema="tapdb")


@dataclass(frozen=True, slots=True)
class LineageDataset:
    """A dataset of a lineage: attributes as of ``provenance.dataset``."""

    dataset: UUID
    dataset_type: str
    run: str
    data_id: Mapping[str, Any]
    produced: bool


@dataclass(frozen=True, slots=True)
class LineageQuantum:
    """An execution of a lineage: attributes as of ``provenance.quantum``."""

    quantum: UUID
    task: str
    status: str


@dataclass(slots=True)
class Lineage:
    """What a dataset was made of.

    Attributes
    ----------
    dataset
        The dataset.
    datasets, quanta
        All datasets and executions, by UUID.
    levels
        On which level each dataset is; 0 for the dataset itself.
    made_by
        The execution that made a dataset, by UUID of the dataset.
    read_by
        Datasets that an execution read, by UUID of the execution.
    """

    dataset: UUID
    datasets: dict[UUID, LineageDataset] = field(default_factory=dict)
    quanta: dict[UUID, LineageQuantum] = field(default_factory=dict)
    levels: dict[UUID, int] = field(default_factory=dict)
    made_by: dict[UUID, UUID] = field(default_factory=dict)
    read_by: dict[UUID, list[UUID]] = field(default_factory=dict)


def dataset_uuid(connection: sa.Connection, did: str) -> UUID:
    """Return the UUID of a dataset, given that or any form of its publisher DID.

    Raises
    ------
    UnknownProvenanceError
        Raised if there is no UUID in it.
    """
    try:
        return UUID(did)
    except ValueError:
        found = connection.scalar(sa.select(sa.cast(sa.func.tapdb.dataset_uuid(did), sa.Text)))
    if found is None:
        raise UnknownProvenanceError(did)
    return UUID(found)


class Producer(NamedTuple):
    """The execution that made a dataset, the RUN that it is of, and the repository of that."""

    quantum: UUID
    run: str
    repository: str


def producer_of(connection: sa.Connection, dataset: UUID) -> Producer | None:
    """Return what made a dataset and can make it again; `None` if nothing is known of how it was made.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_service``.
    dataset
        UUID of the dataset.

    Raises
    ------
    NoKeptGraphError
        Raised if the graph that was loaded is one by which nothing can run again.
    """
    query = (
        sa.select(_EDGE.c.quantum, _LOADED_RUN.c.run, _LOADED_RUN.c.repository, _LOADED_RUN.c.source)
        .join(_LOADED_QUANTUM, _LOADED_QUANTUM.c.quantum == _EDGE.c.quantum)
        .join(_LOADED_RUN, _LOADED_RUN.c.run == _LOADED_QUANTUM.c.run)
        .where(_EDGE.c.dataset == dataset, ~_EDGE.c.is_read)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    if row.source != GRAPH_TYPE:
        raise NoKeptGraphError(row.run, (GRAPH_TYPE,))
    return Producer(row.quantum, row.run, row.repository)


def read_lineage(connection: sa.Connection, dataset: UUID, levels: int) -> Lineage:
    """Return what a dataset was made of.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_reader``.
    dataset
        UUID of the dataset.
    levels
        How many levels upwards.

    Raises
    ------
    UnknownProvenanceError
        Raised if nothing is known of the dataset.
    """
    found = Lineage(dataset, levels={dataset: 0})
    function = sa.func.tapdb.ancestors(sa.cast(dataset, sa.Uuid), levels)
    rows = connection.execute(sa.select(function.table_valued("level", "made", "quantum", "used"))).all()
    for level, made, quantum, used in rows:
        found.made_by[made] = quantum
        found.read_by.setdefault(quantum, [])
        if used is not None:
            found.levels.setdefault(used, level)
            if used not in found.read_by[quantum]:
                found.read_by[quantum].append(used)
    datasets = sa.select(_DATASET).where(_DATASET.c.dataset_id.in_(list(found.levels)))
    for identifier, dataset_type, run, data_id, produced in connection.execute(datasets):
        found.datasets[identifier] = LineageDataset(
            identifier, dataset_type, run, json.loads(data_id), bool(produced)
        )
    columns = (_QUANTUM.c.quantum_id, _QUANTUM.c.task, _QUANTUM.c.status)
    quanta = sa.select(*columns).where(_QUANTUM.c.quantum_id.in_(list(found.read_by)))
    for identifier, task, status in connection.execute(quanta):
        found.quanta[identifier] = LineageQuantum(identifier, task, status)
    if dataset not in found.datasets:
        raise UnknownProvenanceError(str(dataset))
    return found
