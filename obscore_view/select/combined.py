"""The statement of one view over the kept tables of several: repositories that are searched together.

A UNION of the views would have the same rows. PostgreSQL hands a constant down into a UNION of joins, and
nothing that comes from a joined table: each point of an upload would read all of it. So it is the tables that
are put together, kind by kind, and joined once: a UNION ALL of single tables is driven from any side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from obscore_view.columns import DATASET_ID_COLUMN, ObsCoreColumn, chosen_by, in_type_of
from obscore_view.errors import CombinationError
from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_layout import KeptLayout, outer_parts
from obscore_view.select.kept_rows import butler_table, dataset_type_mapping
from obscore_view.select.kept_tables import KeptRelations, region_table
from obscore_view.select.statement import kept_layout, kept_row, view_columns

_PART = "part"
_DID = "obs_publisher_did"


def require_combinable(parts: Sequence[DatasetMapping], *, first_only: bool = False) -> None:
    """Check that one view can show what several do.

    Parameters
    ----------
    parts
        What the views are made from.
    first_only
        Whether a dataset is shown once.

    Raises
    ------
    CombinationError
        Raised if not.
    """
    names = [f"{one.config.view_schema}.{one.config.view_name}" for one in parts]
    plain = [name for name, one in zip(names, parts, strict=True) if one.config.tapdb.geometry != "table"]
    if plain:
        raise CombinationError(
            f"{', '.join(plain)} keeps no rows, and cannot be shown as one with others",
            "Keep them: tapdb obscore refresh --view NAME --geometry table",
        )
    if len({one.config.pgsphere_columns for one in parts}) > 1:
        raise CombinationError(
            f"the columns of pg_sphere have different names in {' and '.join(names)}",
            "Give them the same names in the configurations: region_column and position_column of the "
            "spatial plugin",
        )
    types: dict[str, tuple[str, str]] = {}
    for name, one in zip(names, parts, strict=True):
        for column in view_columns(one):
            kind = str(column.sql_type)
            first, known = types.setdefault(column.name, (name, kind))
            if known != kind:
                raise CombinationError(
                    f"column {column.name} is {known} in {first} and {kind} in {name}",
                    "Give it one type in the configurations",
                )
    ranked = [n for n, one in zip(names, parts, strict=True) if _is_ranked(one)]
    if first_only and ranked:
        raise CombinationError(
            f"{', '.join(ranked)} already shows the first dataset of each data ID",
            "Leave out --first-only, or find_first in its configuration",
        )


def combined_columns(parts: Sequence[DatasetMapping]) -> tuple[ObsCoreColumn, ...]:
    """Return the columns of all: those of the first, then what others have besides, before pg_sphere's."""
    found = {column.name: column for one in parts for column in view_columns(one)}
    technical = {DATASET_ID_COLUMN, *parts[0].config.pgsphere_columns}
    columns = sorted(found.values(), key=lambda column: column.name in technical)
    return tuple(columns)


def combined_select(parts: Sequence[DatasetMapping], *, first_only: bool = False) -> sa.Select[Any]:
    """Return the SELECT of all rows that several views show.

    Parameters
    ----------
    parts
        What the views are made from; all of them have kept tables.
    first_only
        Whether a dataset that is in several registries is shown as the first of the views has it, and not
        as often as there are.
    """
    columns = combined_columns(parts)
    own = {number: kept_layout(one) for number, one in enumerate(parts, start=1)}
    relations = _united(own)
    layouts = {
        number: KeptLayout(one.mapping, one.columns, _with_butler(relations, one, number))
        for number, one in own.items()
    }
    part = relations.dataset.c[_PART]
    rows = {number: kept_row(one, view_columns(one.mapping)) for number, one in layouts.items()}
    row: dict[str, sa.ColumnElement[Any]] = {
        column.name: chosen_by(
            part, {number: one.get(column.name, in_type_of(column, None)) for number, one in rows.items()}
        )
        for column in columns
    }
    if _DID in relations.dataset.c:
        row[_DID] = relations.dataset.c[_DID]
    return (
        sa.select(*(row[one.name].label(one.name) for one in columns))
        .select_from(_joined(relations, layouts))
        .where(*_conditions(relations, layouts, first_only=first_only))
    )


def _is_ranked(mapping: DatasetMapping) -> bool:
    return mapping.config.collection_rule.kind == "find-first"


def _united(own: dict[int, KeptLayout]) -> KeptRelations:
    """Return the kept tables of several views, kind by kind, each a UNION ALL that says whose a row is."""
    dids = {number: _did(one) for number, one in own.items()}
    datasets: dict[int, dict[str, sa.ColumnElement[Any]]] = {}
    for number, one in own.items():
        base = sa.cast(sa.literal(one.names.base), sa.Text())
        datasets[number] = {"kept": base, **dict(one.dataset.c.items())}
    if len(found := {number: did for number, did in dids.items() if did is not None}) == len(own):
        for number, did in found.items():
            # Worked out here, it is found by the index on each table.
            datasets[number][_DID] = did
    first = own[1]
    return KeptRelations(
        dataset=_union(datasets, "d"),
        observation=_union({number: _shown(one.kept_observation) for number, one in own.items()}, "o"),
        collection=_union({number: _shown(one.names.collection) for number, one in own.items()}, "k"),
        region=_union({n: _shown(region_table(one.mapping.registry)) for n, one in own.items()}, "r"),
        stored=dataset_type_mapping.alias("m"),
        run_collection=first.run_collection,
        run_dataset=first.run_dataset,
        # PostgreSQL tries the orders of eight relations: one for each registry would be too many.
        looks_up=True,
    )


def _shown(table: sa.TableClause) -> dict[str, sa.ColumnElement[Any]]:
    """Return the columns of a kept table but its keys, of which each registry has its own kind."""
    return {name: column for name, column in table.c.items() if name != "key"}


def _did(layout: KeptLayout) -> sa.ColumnElement[Any] | None:
    """Return the identifier of a dataset, if it follows from its kept row alone."""
    columns = {one.name: one for one in layout.columns}
    expression = layout.expression(columns[_DID])
    mine = all(getattr(one, "table", None) is layout.dataset for one in outer_parts(expression))
    return expression if mine else None


def _union(parts: dict[int, dict[str, sa.ColumnElement[Any]]], name: str) -> sa.Subquery:
    """Return rows of several tables, under the columns of all and the number of their part."""
    types = {column: value.type for values in parts.values() for column, value in values.items()}
    selects = [
        sa.select(
            sa.cast(sa.literal(number), sa.SmallInteger()).label(_PART),
            *(
                values.get(column, sa.cast(sa.null(), kind)).label(column)
                for column, kind in sorted(types.items())
            ),
        )
        for number, values in parts.items()
    ]
    return sa.union_all(*selects).subquery(name)


def _with_butler(relations: KeptRelations, layout: KeptLayout, number: int) -> KeptRelations:
    """Return the relations of one part: Butler's tables are those of its own registry."""
    registry = layout.mapping.registry
    return replace(
        relations,
        run_collection=butler_table(registry, "collection").alias(f"cn{number}"),
        run_dataset=butler_table(registry, "dataset").alias(f"ds{number}"),
    )


def _joined(relations: KeptRelations, layouts: dict[int, KeptLayout]) -> sa.FromClause:
    d, m = relations.dataset, relations.stored
    source: sa.FromClause = d.outerjoin(m, sa.and_(m.c.kept == d.c.kept, m.c.number == d.c.type))
    kept = [(relations.observation, "observation"), (relations.region, "region")]
    if any(one.uses_collection for one in layouts.values()):
        kept.append((relations.collection, "collection"))
    for table, name in kept:
        source = source.outerjoin(table, sa.and_(table.c[_PART] == d.c[_PART], table.c[name] == d.c[name]))
    for number, one in layouts.items():
        for table, condition in one.butler_joins():
            source = source.outerjoin(table, sa.and_(d.c[_PART] == number, condition))
    return source


def _conditions(
    relations: KeptRelations, layouts: dict[int, KeptLayout], *, first_only: bool
) -> Iterator[sa.ColumnElement[bool]]:
    """Yield which of the rows are shown."""
    d = relations.dataset
    for number, one in layouts.items():
        if shown := one.view_conditions():
            yield sa.or_(d.c[_PART] != number, sa.and_(*shown))
    if first_only:
        # Beside an OR each row that is found is looked at. As a join it would be one relation more.
        earlier = [one.names.dataset.c.dataset_id == d.c.dataset_id for one in layouts.values()]
        for number, equal in enumerate(earlier[:-1], start=1):
            yield sa.or_(d.c[_PART] <= number, ~sa.exists().where(equal))
