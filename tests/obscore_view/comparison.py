"""How rows of ObsCore are compared: text exactly, angles and times to rounding, polygons by pg_sphere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

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
    """Return how many rows kept tables and their sources have alone, by table; {} if all are equal."""
    stored = connection.execute(
        sa.text(
            "SELECT DISTINCT t.value ->> 0, t.value ->> 1 FROM tapdb.view_definition d, "
            "jsonb_array_elements(d.fingerprint -> 'objects' -> 'tables') AS t"
        )
    ).all()
    assert stored, "there is no kept table at all"
    found = {}
    for schema, name in stored:
        table, source = (_all_columns(connection, schema, each) for each in (name, f"{name}_source"))
        # Polygons cannot be sorted or hashed, and their text has fewer digits than they have.
        plain = [column.name for column in table.c if column.name not in SPHERE_COLUMNS]
        rows = [sa.select(*(each.c[one] for one in plain)) for each in (table, source)]
        alone = [sa.except_all(*rows), sa.except_all(*reversed(rows))]
        counts = [sa.select(sa.func.count()).select_from(one.subquery()) for one in alone]
        if len(plain) < len(table.c):
            counts.append(_other_polygons(connection, table, source))
        if count := sum(connection.scalar(one) or 0 for one in counts):
            found[name] = count
    return found


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


def _all_columns(connection: sa.Connection, schema: str, name: str) -> sa.TableClause:
    listed = sa.text(
        "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) AND attnum > 0"
    )
    names = connection.scalars(listed, {"name": f'{schema}."{name}"'}).all()
    return sa.table(name, *map(sa.column, names), schema=schema)


def _other_polygons(
    connection: sa.Connection, table: sa.TableClause, source: sa.TableClause
) -> sa.Select[int]:
    """Return the query that counts polygons that pg_sphere does not take for equal."""
    key = sa.inspect(connection).get_pk_constraint(table.name, schema=table.schema)["constrained_columns"]
    one, other = table.c.pgs_region, source.c.pgs_region
    differ = sa.or_(one.is_(None) != other.is_(None), sa.not_(one.op("=")(other)))
    same = [table.c[name] == source.c[name] for name in key]
    return sa.select(sa.func.count()).select_from(table.join(source, sa.and_(*same))).where(differ)


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
