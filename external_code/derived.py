"""What external code gives to others: provenance described in TAP_SCHEMA, and its links."""

from collections.abc import Iterable

import sqlalchemy as sa

from tapdb.errors import Place
from tapdb.hooks.descriptions import (
    ColumnDescription,
    KeyDescription,
    LinkProvider,
    SchemaDescription,
    TableDescription,
)

SCHEMA = "provenance"
_PLACE = Place("external_code")
_RUNS = "tapdb.provenance_run"

LINKS = LinkProvider(link="tapdb.link_progenitors")
"""Links of datasets to what they were made of."""


def describe(connection: sa.Connection) -> Iterable[SchemaDescription]:
    """Return the description of the views of provenance; nothing as long as no RUN was loaded for readers.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    if connection.scalar(sa.select(sa.func.to_regclass(_RUNS).is_(None))):
        return ()
    runs = sa.table("provenance_run", sa.column("is_public"), schema="tapdb")
    if not connection.scalar(sa.select(sa.exists().where(runs.c.is_public))):
        return ()
    return (
        SchemaDescription(
            name=SCHEMA,
            description="Provenance of datasets: what was run, what it read and what it wrote",
            tables=(_QUANTA, _DATASETS, _EDGES, _INPUTS),
            place=_PLACE,
        ),
    )


def _column(
    name: str, description: str, ucd: str, datatype: str = "char", *, principal: bool = True
) -> ColumnDescription:
    return ColumnDescription(
        name=name,
        datatype=datatype,
        arraysize="*" if datatype == "char" else None,
        ucd=ucd,
        description=description,
        principal=principal,
        place=_PLACE,
    )


def _uuid(name: str, description: str) -> ColumnDescription:
    return ColumnDescription(
        name=name,
        datatype="char",
        arraysize="36",
        ucd="meta.id",
        description=description,
        principal=True,
        place=_PLACE,
    )


def _key(table: str, column: str, target: str) -> KeyDescription:
    return KeyDescription(
        name=f"provenance_{table}_{column}",
        columns=(column,),
        target_schema=SCHEMA,
        target_table=target,
        target_columns=(column,),
        description=f"The {'execution' if target == 'quantum' else 'dataset'}",
        place=_PLACE,
    )


_QUANTA = TableDescription(
    name="quantum",
    description="Executions of tasks",
    columns=(
        _uuid("quantum_id", "UUID of the execution"),
        _column("run", "Butler RUN collection of its outputs", "meta.id"),
        _column("task", "Label of the task", "meta.id"),
        _column("data_id", "Values of its dimensions, JSON", "meta"),
        _column("status", "success, failure, timeout, skipped or unknown", "meta.code.status"),
        _column("problem", "Why it failed", "meta.note", principal=False),
    ),
    place=_PLACE,
)
_DATASETS = TableDescription(
    name="dataset",
    description="Datasets that executions read or wrote",
    columns=(
        _uuid("dataset_id", "UUID of the dataset, as in its publisher DID"),
        _column("dataset_type", "Butler dataset type", "meta.id"),
        _column("run", "Butler RUN collection that it is in", "meta.id"),
        _column("data_id", "Values of its dimensions, JSON", "meta"),
        _column("produced", "Whether it was made: 1, or 0", "meta.code", "int"),
        _column("digest", "Digest of the values in its file, with its kind before a colon", "meta.checksum"),
    ),
    place=_PLACE,
)
_EDGES = TableDescription(
    name="edge",
    description="What executions read and wrote, as Used and WasGeneratedBy of ProvenanceDM 1.0",
    columns=(
        _uuid("quantum_id", "UUID of the execution"),
        _uuid("dataset_id", "UUID of the dataset"),
        _column(
            "relation",
            "used if the execution read the dataset, wasGeneratedBy if it wrote it",
            "meta.code",
        ),
    ),
    keys=(_key("edge", "quantum_id", "quantum"), _key("edge", "dataset_id", "dataset")),
    place=_PLACE,
)
_INPUTS = TableDescription(
    name="ProvenanceInput",
    description="Datasets and the datasets that they were made of, as in CAOM2",
    utype="caom2:Plane.provenance.inputs",
    columns=(
        _uuid("outputID", "UUID of the dataset that was made"),
        _uuid("inputID", "UUID of a dataset that it was made of"),
    ),
    place=_PLACE,
)
