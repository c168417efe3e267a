"""Whether the kept tables hold the rows that they are kept equal to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from obscore_view.check_registry import REFRESH
from obscore_view.finding import Finding
from obscore_view.kept import SCHEMA, KeptTable, kept_tables
from obscore_view.mapping import Mapping
from obscore_view.observation import butler_table
from obscore_view.store import StoredView
from tapdb.pgsphere import SPoly

__all__ = ["check_rows"]

_REMEDY = f"{REFRESH} --rebuild-footprints"


def check_rows(
    connection: sa.Connection, view: StoredView, mapping: Mapping, *, deep: bool
) -> Iterator[Finding]:
    """Find kept tables that are out of step with Butler's.

    Parameters
    ----------
    connection
        Connection of a user who may read the kept tables.
    view
        The view.
    mapping
        Its configuration, matched with the registry.
    deep
        Whether every value is compared, which decodes all regions (about 14 s for a million), or keys alone.
    """
    for kept in kept_tables(mapping):
        if (SCHEMA, kept.name) not in view.objects.tables or not _is_there(connection, kept):
            continue
        missing = int(connection.scalar(_missing(kept, mapping)) or 0)
        extra = connection.scalar(_extra(kept, mapping)) or 0
        found = [f"lacks {missing} rows"] if missing else []
        found += [f"has {extra} rows too many"] if extra else []
        if deep:
            wrong = connection.scalar(_different(kept)) or 0
            found += [f"has {wrong} rows with other values"] if wrong else []
        if found:
            yield Finding("drift", f"table {SCHEMA}.{kept.name}", " and ".join(found), _REMEDY)


def _is_there(connection: sa.Connection, kept: KeptTable) -> bool:
    names = (kept.name, kept.source)
    return all(connection.scalar(sa.select(sa.func.to_regclass(f'{SCHEMA}."{name}"'))) for name in names)


def _source(kept: KeptTable) -> sa.TableClause:
    columns = (sa.column(column.name, column.type) for column in kept.select.selected_columns)
    return sa.table(kept.source, *columns, schema=SCHEMA)


def _missing(kept: KeptTable, mapping: Mapping) -> sa.Select[Any]:
    """Count rows of the source without one of their key in the table.

    Only records of Butler's without such a row are looked at in the source: PostgreSQL takes decoding a
    region for cheap, and would do it with all of them in any join.
    """
    watch = kept.watches[0]
    record = butler_table(mapping.registry, watch.table).alias("r")
    table, source = kept.table.alias("k"), _source(kept).alias("s")
    there = [table.c[mine] == record.c[theirs] for mine, theirs in watch.columns]
    same = [source.c[mine] == record.c[theirs] for mine, theirs in watch.columns]
    rows = sa.select(sa.func.count()).select_from(source).where(*same).scalar_subquery()
    return sa.select(sa.func.sum(rows)).select_from(record).where(~sa.exists().where(*there))


def _extra(kept: KeptTable, mapping: Mapping) -> sa.Select[int]:
    """Count rows of the table without a record of Butler's; asked of Butler's table, no region is decoded."""
    watch = kept.watches[0]
    record, table = butler_table(mapping.registry, watch.table).alias("r"), kept.table.alias("k")
    same = [table.c[mine] == record.c[theirs] for mine, theirs in watch.columns]
    return sa.select(sa.func.count()).select_from(table).where(~sa.exists().where(*same))


def _different(kept: KeptTable) -> sa.Select[int]:
    """Count rows of the table and its source that have one key and not the same values."""
    source, table = _source(kept).alias("s"), kept.table.alias("k")
    same = [table.c[name] == source.c[name] for name in kept.key]
    others = [name for name in table.c.keys() if name not in kept.key]  # noqa: SIM118 - columns, not a mapping
    differ = [_differs(table.c[name], source.c[name]) for name in others]
    return sa.select(sa.func.count()).select_from(table.join(source, sa.and_(*same))).where(sa.or_(*differ))


def _differs(one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    if not isinstance(one.type, SPoly):
        return one.is_distinct_from(other)
    # What a dump holds of a polygon has 15 digits; pg_sphere's = takes such for equal, as its searches do.
    return sa.or_(
        one.is_(None) != other.is_(None), sa.not_(one.op("OPERATOR(public.=)", is_comparison=True)(other))
    )
