"""How rows of ObsCore are compared: text exactly, angles and times to rounding, polygons by pg_sphere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from obscore_view.mapping import match_mapping
from obscore_view.registry.read import read_registry
from obscore_view.select.kept_sources import comparisons
from obscore_view.select.statement import kept_layout
from obscore_view.view.make import stored_config
from obscore_view.view.store import StoredView, read_stored_views

__all__ = [
    "ID",
    "Rows",
    "differences",
    "kept_differences",
    "polygon_differences",
    "rows_of",
    "view_differences",
]

ID = "registry_dataset_id"
ANGLE_TOLERANCE_DEG = 1e-9
TIME_TOLERANCE_ULP = 2
SPHERE_COLUMNS = frozenset({"pgs_region", "pgs_center"})

_ANGLES = frozenset({"s_dec", "s_fov"})
_TIMES = frozenset({"t_min", "t_max"})

_QUERIES: dict[tuple[str, ...], list[tuple[str, sa.Select[Any]]]] = {}

Rows = Mapping[UUID, Mapping[str, Any]]


def rows_of(connection: sa.Connection, relation: str, *conditions: str) -> dict[UUID, dict[str, Any]]:
    """Return all rows of a view or table by dataset UUID; a UUID that occurs twice is an error."""
    query = sa.select(sa.text("*")).select_from(_relation(relation)).where(*map(sa.text, conditions))
    rows = [dict(row) for row in connection.execute(query).mappings()]
    found = {row[ID]: row for row in rows}
    assert len(found) == len(rows), f"{relation} has a dataset twice"
    return found


def differences(
    expected: Rows, found: Rows, *, columns: Iterable[str] | None = None, ids: Iterable[UUID] | None = None
) -> list[str]:
    """Return the differences between two sets of rows in words; polygons are for `polygon_differences`.

    Parameters
    ----------
    columns
        Columns to compare; by default all that the first expected row has.
    ids
        Datasets to compare; by default all of both sides.
    """
    wanted = set(expected) | set(found) if ids is None else set(ids)
    names = list(next(iter(expected.values()), {})) if columns is None else list(columns)
    said = []
    for dataset_id in sorted(wanted):
        left, right = expected.get(dataset_id), found.get(dataset_id)
        if left is None or right is None:
            said.append(f"{dataset_id}: {'not expected' if left is None else 'missing'}")
            continue
        said += [
            f"{dataset_id} {name}: expected {left[name]!r}, found {right.get(name)!r}"
            for name in names
            if name not in SPHERE_COLUMNS and not _same(name, left[name], right.get(name), left.get("s_dec"))
        ]
    return said


def polygon_differences(connection: sa.Connection, expected: str, found: str) -> list[UUID]:
    """Return the datasets of both relations whose regions or centres differ for pg_sphere."""
    left, right = _relation(expected).alias("a"), _relation(found).alias("b")
    unlike = [
        sa.or_(
            left.c[name].is_(None) != right.c[name].is_(None), sa.not_(left.c[name].op("=")(right.c[name]))
        )
        for name in sorted(SPHERE_COLUMNS)
    ]
    query = (
        sa.select(left.c[ID]).select_from(left.join(right, left.c[ID] == right.c[ID])).where(sa.or_(*unlike))
    )
    return list(connection.scalars(query))


def kept_differences(connection: sa.Connection) -> dict[str, int]:
    """Return how many rows kept tables and their sources have alone, by table; {} if all are equal.

    What triggers have noted as failed counts too.
    """
    views = [one for one in read_stored_views(connection) if one.objects.tables]
    assert views, "there is no kept table at all"
    found: Counter[str] = Counter()
    for view in views:
        for table, query in _queries_of(connection, view):
            found[table] += connection.scalar(query) or 0
    failed = sa.text("SELECT count(*) FROM tapdb.kept_note WHERE problem IS NOT NULL")
    found["kept_note"] += connection.scalar(failed) or 0
    return dict(+found)


def _queries_of(connection: sa.Connection, view: StoredView) -> list[tuple[str, sa.Select[Any]]]:
    """Return the queries that count what differs, by table; written once for a configuration and a registry.

    Most databases of tests are copies of one: their registries are alike.
    """
    registry = read_registry(connection, view.registry_schema)
    key = (view.full_name, view.config_yaml, view.kept, repr(registry))
    if key not in _QUERIES:
        mapping = replace(match_mapping(stored_config(view), registry), kept=view.kept)
        _QUERIES[key] = [
            (one.table_name, query) for one in comparisons(kept_layout(mapping)) for _, query in one.queries()
        ]
    return _QUERIES[key]


def view_differences(connection: sa.Connection, views: Iterable[str]) -> list[str]:
    """Return how views over one registry differ from the first of them."""
    first, *others = views
    expected = rows_of(connection, first)
    said = []
    for other in others:
        found = rows_of(connection, other)
        said += [f"{other}: {line}" for line in differences(expected, found)]
        said += [f"{other}: {one} polygon" for one in polygon_differences(connection, first, other)]
    return said


def _relation(name: str) -> sa.TableClause:
    schema, _, table = name.rpartition(".")
    return sa.table(table, *map(sa.column, (ID, *sorted(SPHERE_COLUMNS))), schema=schema or None)


def _same(name: str, left: Any, right: Any, dec_deg: float | None) -> bool:
    if left is None or right is None or not isinstance(left, float):
        return bool(left == right and type(left) is type(right))
    if name == "s_ra":
        # On the sky: at a pole every right ascension is the same place.
        apart = abs((left - right + 180.0) % 360.0 - 180.0) * math.cos(math.radians(dec_deg or 0.0))
        return bool(0.0 <= right < 360.0 and apart <= ANGLE_TOLERANCE_DEG)
    if name in _ANGLES:
        return bool(abs(left - right) <= ANGLE_TOLERANCE_DEG)
    if name in _TIMES:
        return bool(abs(left - right) <= TIME_TOLERANCE_ULP * math.ulp(left))
    return bool(left == right)
