"""The rule that puts the rows of one snapshot in the place of every versioned table."""

from __future__ import annotations

from adql import Column, Identifier, Query, Table, TableMetadata
from adql.tree import And, Comparison, Condition, Number, Output, Select, SetOperation, SetStep
from ppdb_replay.rewriting.snapshot_seen import snapshot_seen
from ppdb_replay.rewriting.table_replacement import Wanted, replace_tables
from ppdb_replay.rewriting.version_catalog import (
    SNAP_FROM,
    SNAP_TO,
    VersionCatalog,
    VersionedTable,
    column_identifiers,
)
from ppdb_replay.snapshot import CURRENT

__all__ = ["fix_snapshot"]

_FROM, _TO = Identifier(SNAP_FROM), Identifier(SNAP_TO)


def fix_snapshot(query: Query, catalog: VersionCatalog, snapshot_id: int) -> Query:
    """Return a query that sees its versioned tables as they were at a snapshot.

    A natural table becomes the rows that are visible at the snapshot. A table of versions, which a query
    names by its schema, becomes the versions that were known at the snapshot, as they were then: one that
    has been replaced since was still the current one.

    Parameters
    ----------
    query
        A whole query in which `name_tables` has given every versioned table an alias.
    catalog
        Which tables are versioned.
    snapshot_id
        The snapshot.

    Examples
    --------
    ``FROM ppdb.DiaObject AS o`` becomes ``FROM (SELECT diaObjectId, ra FROM ppdb_history.DiaObject WHERE
    snap_from <= 41 AND snap_to > 41) AS o`` in a query that uses these two columns.
    """

    def subquery(published: TableMetadata, wanted: Wanted) -> Query | None:
        natural = catalog.versioned(published)
        if natural is not None:
            return Query(_visible(natural, wanted, snapshot_id))
        history = catalog.versions(published)
        return None if history is None else _known(history, wanted, snapshot_id)

    def stays(select: Select) -> bool:
        seen = snapshot_seen(select)
        return seen is not None and seen <= snapshot_id

    return replace_tables(query, catalog, subquery, stays=stays)


def _visible(table: VersionedTable, wanted: Wanted, snapshot_id: int) -> Select:
    """Return the rows that are visible at a snapshot."""
    where = And((_compare(_FROM, "<=", snapshot_id), _compare(_TO, ">", snapshot_id)))
    return _select_from(table, _outputs(wanted.columns_of(table)), where)


def _known(table: VersionedTable, wanted: Wanted, snapshot_id: int) -> Query:
    """Return all versions that were known at a snapshot."""
    columns = _outputs((*wanted.columns_of(table), _FROM))
    begun = _compare(_FROM, "<=", snapshot_id)
    if not wanted.has(SNAP_TO):
        return Query(_select_from(table, columns, begun))
    replaced = And((begun, _compare(_TO, "<=", snapshot_id)))
    current = And((begun, _compare(_TO, ">", snapshot_id)))
    # ADQL has no CASE: the versions that were current then are a query of their own.
    first = _select_from(table, (*columns, Output(Column(_TO))), replaced)
    second = _select_from(table, (*columns, Output(Number(str(CURRENT)), _TO)), current)
    return Query(SetOperation(first, (SetStep("UNION", keep_duplicates=True, query=second),)))


def _compare(name: Identifier, operator: str, snapshot_id: int) -> Comparison:
    return Comparison(Column(name), operator, Number(str(snapshot_id)))


def _select_from(table: VersionedTable, items: tuple[Output, ...], where: Condition) -> Select:
    return Select(items, (Table(column_identifiers(table.history)),), where=where)


def _outputs(columns: tuple[Identifier, ...]) -> tuple[Output, ...]:
    return tuple([Output(Column(name)) for name in columns])
