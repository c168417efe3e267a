"""The graph of a RUN into PostgreSQL: by COPY, in the caller's transaction, in place of what was there."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from external_code.provenance.run_graph import RunProvenance
from tapdb import __version__
from tapdb.postgres.engine import driver_connection
from tapdb.postgres.roles import Right, require_rights

SCHEMA = "tapdb"
_RUN = sa.table(
    "provenance_run",
    *map(sa.column, ("run", "repository", "source", "is_public", "software_version")),
    schema=SCHEMA,
)
_QUANTUM = sa.table("provenance_quantum", sa.column("quantum"), sa.column("run"), schema=SCHEMA)
_DATASET = sa.table("provenance_dataset", sa.column("dataset"), sa.column("run"), schema=SCHEMA)
_EDGE = sa.table("provenance_edge", sa.column("quantum"), schema=SCHEMA)

_COPY = sql.SQL("COPY {} ({}) FROM STDIN")
_TEMPORARY = sql.SQL("CREATE TEMPORARY TABLE provenance_new (LIKE tapdb.provenance_dataset) ON COMMIT DROP")
_MERGE = sql.SQL(
    "INSERT INTO tapdb.provenance_dataset SELECT * FROM provenance_new ON CONFLICT (dataset) DO NOTHING"
)
_DONE = sql.SQL("DROP TABLE provenance_new")

RIGHTS = tuple(
    Right(privilege, SCHEMA, table.name)
    for table in (_RUN, _QUANTUM, _DATASET, _EDGE)
    for privilege in ("SELECT", "INSERT", "DELETE")
)
"""What loading needs; the role that migrates has it."""


def require_loading(connection: sa.Connection) -> None:
    """Check that the connected role may load provenance.

    Raises
    ------
    MissingRightsError
        Raised, with what is to be granted, if not.
    """
    require_rights(connection, "load provenance", RIGHTS)


def load_run(
    connection: sa.Connection, found: RunProvenance, repository: str, *, public: bool = True
) -> None:
    """Load a RUN, in place of what was loaded of it before.

    Parameters
    ----------
    connection
        Connection of the role that migrates; the caller commits.
    found
        The graph.
    repository
        How the repository is to be named when a dataset is made again.
    public
        Whether readers see it.
    """
    unload_run(connection, found.run)
    connection.execute(
        sa.insert(_RUN).values(
            run=found.run,
            repository=repository,
            source=found.source,
            is_public=public,
            software_version=__version__,
        )
    )
    _copy(
        connection,
        (SCHEMA, "provenance_quantum"),
        ("quantum", "run", "task", "data_id", "status", "problem"),
        (
            (one.quantum, found.run, one.task, _json(one.data_id), one.status, one.problem)
            for one in found.quanta
        ),
    )
    driver_connection(connection).execute(_TEMPORARY)
    _copy(
        connection,
        ("provenance_new",),
        ("dataset", "run", "dataset_type", "data_id", "produced", "digest"),
        (
            (one.dataset, one.run, one.dataset_type, _json(one.data_id), one.produced, one.digest)
            for one in found.datasets.values()
        ),
    )
    driver_connection(connection).execute(_MERGE)
    driver_connection(connection).execute(_DONE)
    copy_edges(connection, found.edges)


def copy_edges(connection: sa.Connection, edges: Iterable[Sequence[Any]]) -> None:
    """Copy edges: quantum, dataset, whether it was read.

    Parameters
    ----------
    connection
        Connection of the role that migrates.
    edges
        The edges.
    """
    _copy(connection, (SCHEMA, "provenance_edge"), ("quantum", "dataset", "is_read"), edges)


def unload_run(connection: sa.Connection, run: str) -> None:
    """Take away what was loaded of a RUN.

    Parameters
    ----------
    connection
        Connection of the role that migrates.
    run
        Name of the RUN.
    """
    quanta = sa.select(_QUANTUM.c.quantum).where(_QUANTUM.c.run == run)
    connection.execute(sa.delete(_EDGE).where(_EDGE.c.quantum.in_(quanta)))
    for table in (_QUANTUM, _DATASET, _RUN):
        connection.execute(sa.delete(table).where(table.c.run == run))


def _copy(
    connection: sa.Connection, table: Sequence[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    statement = _COPY.format(sql.Identifier(*table), sql.SQL(", ").join(map(sql.Identifier, columns)))
    with driver_connection(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _json(values: Any) -> str:
    return json.dumps(dict(values), ensure_ascii=False)
