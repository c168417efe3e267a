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
            wrong = (connection.scalar(_not_in(kept, kept.table)) or 0) - missing
            stale = (connection.scalar(_not_in(kept, _source(kept))) or 0) - extra
            found += [f"has {max(wrong, stale)} rows with other values"] if max(wrong, stale) > 0 else []
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


def _not_in(kept: KeptTable, other: sa.TableClause) -> sa.Select[int]:
    """Count rows that the table or its source has, and the other one has not with just these values."""
    one = _source(kept) if other.name == kept.name else kept.table
    wanted, found = (sa.select(*map(_comparable, each.c)) for each in (one, other))
    return sa.select(sa.func.count()).select_from(wanted.except_(found).subquery("d"))


def _comparable(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    # pg_sphere's polygons can be compared by = alone, which EXCEPT cannot use.
    return sa.cast(column, sa.Text()) if isinstance(column.type, SPoly) else column
