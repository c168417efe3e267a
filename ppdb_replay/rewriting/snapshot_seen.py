"""What a SELECT over a table of versions sees by itself, without being told a snapshot."""

from __future__ import annotations

from adql import Column, Table, walk
from adql.tree import AllColumns, And, Comparison, Condition, Number, Select
from ppdb_replay.rewriting.version_catalog import SNAP_FROM, SNAP_TO

__all__ = ["sees_one_version", "snapshot_seen"]


def snapshot_seen(select: Select) -> int | None:
    """Return the snapshot that a SELECT over one table of versions sees by itself, now and for ever.

    `None` if what it returns can change; a row's ``snap_to`` does, once, when the row is replaced.

    Parameters
    ----------
    select
        For example ``SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 41 AND snap_to > 41``.
    """
    where = select.where
    if where is None or len(select.tables) > 1 or not isinstance(select.tables[0], Table):
        return None
    if any(isinstance(item, AllColumns) for item in select.items):
        return None
    begun = _bounds(where, SNAP_FROM, "<=")
    if not begun:
        return None
    replaced = _bounds(where, SNAP_TO, "<=")
    if replaced:
        return min(replaced)
    current = begun & _bounds(where, SNAP_TO, ">")
    named = sum(isinstance(node, Column) and node.name.text.lower() == SNAP_TO for node in walk(select))
    if current:
        return min(current) if named == 1 else None
    return min(begun) if named == 0 else None


def sees_one_version(select: Select) -> bool:
    """Return whether a SELECT over one table of versions sees one version of each row at most.

    Parameters
    ----------
    select
        As in `snapshot_seen`.
    """
    where = select.where
    return where is not None and bool(_bounds(where, SNAP_FROM, "<=") & _bounds(where, SNAP_TO, ">"))


def _bounds(where: Condition, name: str, operator: str) -> set[int]:
    """Return the numbers in ``name operator number``."""
    conditions = where.operands if isinstance(where, And) else (where,)
    return {
        int(condition.right.text)
        for condition in conditions
        if isinstance(condition, Comparison)
        and condition.operator == operator
        and isinstance(condition.left, Column)
        and condition.left.name.text.lower() == name
        and isinstance(condition.right, Number)
        and condition.right.text.isdigit()
    }
