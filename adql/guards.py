"""Tables of which a role sees a part: under which names it reads that part."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from adql.metadata import Metadata, TableMetadata


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands for a table of which a role sees a part.

    Parameters
    ----------
    shown
        Schema and name of the view of that part.
    barrier
        The same of a view of these rows that is a barrier (`TableMetadata.guarded`).
    """

    shown: tuple[str, str]
    barrier: tuple[str, str]


def guarded(table: TableMetadata, guards: Mapping[tuple[str, str], Guard]) -> TableMetadata:
    """Return a table under the names by which a role reads what it may see of it.

    Parameters
    ----------
    table
        The table.
    guards
        What stands for tables and views that hide rows, by names of schema and table in the database.
    """
    guard = guards.get((table.sql_schema or "", table.sql_name))
    if guard is None:
        return table
    schema, name = guard.shown
    return replace(table, sql_schema=schema, sql_name=name, guarded=guard.barrier)


def with_guards(metadata: Metadata, guards: Mapping[tuple[str, str], Guard]) -> Metadata:
    """Return what is published as a role sees it.

    Parameters
    ----------
    metadata, guards
        All that is published, and what stands for tables and views that hide rows, as for `guarded`.
    """
    if not guards:
        return metadata
    return Metadata(tuple(guarded(table, guards) for table in metadata.tables), metadata.functions)
