"""The statement of a view: branches of dataset types that are found together, in layers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from obscore_view.columns import (
    DATASET_ID_COLUMN,
    OBSCORE_COLUMNS,
    ObsCoreColumn,
    chosen_by,
    in_type_of,
    sql_text,
)
from obscore_view.config.model import Constant, ExtraColumnConfig, ExtraColumnType
from obscore_view.mapping import DatasetMapping, DatasetPlace, DatasetTypeMapping
from obscore_view.select.kept_layout import KeptLayout, moved, written_constants
from obscore_view.select.kept_rows import dataset_type_mapping
from obscore_view.select.kept_tables import kept_base
from obscore_view.select.relations import BranchJoins, membership, restriction
from obscore_view.select.row import OUTLINE, dataset_row
from obscore_view.select.text import ColumnValues


@dataclass(frozen=True, slots=True)
class Branch:
    """The datasets of some types, before they are put beside the others.

    Attributes
    ----------
    row
        Expression of each column that is not NULL, in the column's type; `OUTLINE` stands for ``s_region``.
    source
        What the expressions refer to, joined.
    conditions
        Which rows of it are published datasets.
    dataset_id
        UUID of the dataset.
    """

    row: ColumnValues
    source: sa.FromClause
    conditions: tuple[sa.ColumnElement[bool], ...]
    dataset_id: sa.ColumnElement[Any]


def build_branch(
    mapping: DatasetMapping,
    place: DatasetPlace,
    dataset_types: Sequence[DatasetTypeMapping],
    columns: Sequence[ObsCoreColumn],
    *,
    joined: bool = False,
) -> Branch:
    """Return the branch of dataset types that are found together (`DatasetMapping.branches`).

    Parameters
    ----------
    mapping, place, dataset_types
        What to select, and the tags table to select it from; at least one dataset type.
    columns
        Columns of the view.
    joined
        Whether ``tapdb.dataset_type_mapping`` is joined for the dataset types' constants, instead of their
        being written into the statement.

    Raises
    ------
    MappingError
        Raised if a format string or a restriction refers to something that the datasets lack.
    """
    relations = BranchJoins(mapping, place)
    member = membership(mapping, relations, [one.name for one in dataset_types])
    stored = _join_mapping(mapping, relations, member.dataset_type) if joined else None
    rows: dict[str, ColumnValues] = {}
    for one in dataset_types:
        constants = written_constants(one)
        if stored is not None:
            constants = {name: stored.c[name] for name in one.constants}
        rows[one.name] = dataset_row(mapping, one, relations, member, constants)
    conditions = (*member.conditions, *restriction(dataset_types[0], relations, member.run))
    row = _one_row(member.dataset_type, rows, columns)
    return Branch(row, relations.source, conditions, relations.tags.c.dataset_id)


def _one_row(
    key: sa.ColumnElement[Any], rows: dict[str, ColumnValues], columns: Sequence[ObsCoreColumn]
) -> ColumnValues:
    """Return the row of all dataset types: what differs between them is chosen by the type's name."""
    found: ColumnValues = {}
    for column in columns:
        if any(column.name in row for row in rows.values()):
            values = {name: in_type_of(column, row.get(column.name)) for name, row in rows.items()}
            found[column.name] = chosen_by(key, values)
    for name in (OUTLINE, DATASET_ID_COLUMN):
        first = next(iter(rows.values()))
        if name in first:
            found[name] = first[name]
    return found


def _join_mapping(
    mapping: DatasetMapping, relations: BranchJoins, dataset_type: sa.ColumnElement[Any]
) -> sa.FromClause:
    """Return the mapping table with the constants of a dataset's type, joined."""
    stored = dataset_type_mapping.alias("m")
    config = mapping.config
    relations.source = relations.source.join(
        stored,
        sa.and_(
            stored.c.view_schema == config.view_schema,
            stored.c.view_name == config.view_name,
            stored.c.kept == kept_base(mapping),
            stored.c.dataset_type == dataset_type,
        ),
    )
    return stored


_STCS_PREFIX = "POLYGON ICRS "


def layer(columns: Sequence[ObsCoreColumn], branches: Sequence[Branch], *, centre: str) -> sa.Select[Any]:
    """Return the SELECT of all branches, with the given columns in their order and types.

    Parameters
    ----------
    columns
        Columns of the view.
    branches
        Branches; none for a view without rows.
    centre
        Name of the column with the centre of the region as pg_sphere point.
    """
    if not branches:
        nothing = (in_type_of(one, None).label(one.name) for one in columns)
        return sa.select(*nothing).where(sa.false())
    types = {one.name: one for one in columns}
    derived = {"s_region", centre}
    plain = [name for name in types if name not in derived and name != DATASET_ID_COLUMN]
    hoisted = {name: found for name in plain if (found := _common(name, types[name], branches)) is not None}
    inner = [name for name in plain if name not in hoisted]
    twins = _twins(inner, types, branches)
    inner = [name for name in inner if name not in twins]
    union = _union([_inner(branch, inner, types) for branch in branches])
    outer: dict[str, sa.ColumnElement[Any]] = {name: union.c[name] for name in inner}
    outer[DATASET_ID_COLUMN] = union.c[DATASET_ID_COLUMN]
    outer |= {name: union.c[twin] for name, twin in twins.items()}
    outer["s_region"] = sa.literal(_STCS_PREFIX, sa.Text()).concat(union.c[OUTLINE])
    outer[centre] = sa.func.public.spoint(sa.func.radians(outer["s_ra"]), sa.func.radians(outer["s_dec"]))
    for name, (expression, dataset_id) in hoisted.items():
        outer[name] = moved(expression, {dataset_id: union.c[DATASET_ID_COLUMN]})
    return sa.select(*(outer[one.name].label(one.name) for one in columns)).select_from(union)


def _inner(branch: Branch, names: Sequence[str], types: dict[str, ObsCoreColumn]) -> sa.Select[Any]:
    outline = sa.cast(branch.row.get(OUTLINE, sa.null()), sa.Text())
    return (
        sa.select(
            branch.dataset_id.label(DATASET_ID_COLUMN),
            outline.label(OUTLINE),
            *(in_type_of(types[name], branch.row.get(name)).label(name) for name in names),
        )
        .select_from(branch.source)
        .where(*branch.conditions)
    )


def _union(selects: Sequence[sa.Select[Any]]) -> sa.Subquery:
    return (selects[0] if len(selects) == 1 else sa.union_all(*selects)).subquery("u")


def _common(
    name: str, column: ObsCoreColumn, branches: Sequence[Branch]
) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]] | None:
    """Return a column's expression if it is the same in all branches, of constants and the UUID alone.

    The second value is the branch's UUID that the expression has in it.
    """
    expressions = [in_type_of(column, branch.row.get(name)) for branch in branches]
    if len({sql_text(one) for one in expressions}) > 1:
        return None
    first, dataset_id = expressions[0], branches[0].dataset_id
    for part in visitors.iterate(first):
        if isinstance(part, sa.Select) or (
            isinstance(part, sa.ColumnClause) and part is not dataset_id and part.table is not None
        ):
            return None
    return first, dataset_id


def _twins(
    names: Sequence[str], types: dict[str, ObsCoreColumn], branches: Sequence[Branch]
) -> dict[str, str]:
    """Return the columns that are in every branch the same as an earlier one, with that one."""
    first: dict[tuple[str, ...], str] = {}
    twins: dict[str, str] = {}
    for name in names:
        key = tuple(sql_text(in_type_of(types[name], branch.row.get(name))) for branch in branches)
        if (twin := first.setdefault(key, name)) != name:
            twins[name] = twin
    return twins


# Type in PostgreSQL, type in VOTable, array size.
_EXTRA_TYPES: dict[ExtraColumnType, tuple[sa.types.TypeEngine[Any], str, str | None]] = {
    ExtraColumnType.bool: (sa.Boolean(), "boolean", None),
    ExtraColumnType.int: (sa.BigInteger(), "long", None),
    ExtraColumnType.float: (sa.Double(), "double", None),
    ExtraColumnType.string: (sa.Text(), "char", "*"),
}
_ALWAYS = {"dataproduct_subtype", "em_filter_name", "registry_dataset_id"}
_FIRST_EXTRA_INDEX = 2000


def view_columns(mapping: DatasetMapping) -> tuple[ObsCoreColumn, ...]:
    """Return the columns of the view in their order.

    These are all that ObsCore 1.1 demands, those optional ones that the configuration or the registry
    fills, the configuration's extra columns, and the pg_sphere values and UUIDs that services and joins need.
    """
    config = mapping.config
    extra: dict[str, ObsCoreColumn] = {}
    for name in config.dataset_types:
        for column, value in config.extra_columns_of(name).items():
            extra.setdefault(column, _extra_column(column, value, _FIRST_EXTRA_INDEX + len(extra)))
    filled = _ALWAYS | set(config.tapdb.columns) | set(extra)
    if config.has_release_dates:
        filled.add("obs_release_date")
    if config.tapdb.presence is not None:
        filled |= {"presence", "replaced_by"}
    if config.tapdb.release is not None and config.tapdb.release.data_rights is not None:
        filled.add("data_rights")
    region, centre = config.pgsphere_columns
    renamed = {"pgs_region": region, "pgs_center": centre}
    standard = {one.name for one in OBSCORE_COLUMNS}
    chosen = [one for one in OBSCORE_COLUMNS if one.mandatory or one.name in filled or one.name in renamed]
    named = [_renamed(one, renamed.get(one.name, one.name)) for one in chosen]
    own = {"em_filter_name", "presence", "replaced_by"}
    plain = [one for one in named if one.std or one.name in own]
    technical = [one for one in named if one not in plain]
    return (*plain, *(one for name, one in extra.items() if name not in standard), *technical)


def kept_layout(mapping: DatasetMapping) -> KeptLayout:
    """Return how the columns of a view are distributed over its kept tables.

    Made once for mappings that look the same: it takes a good part of a second.
    """
    return _layout_of(_Shown(mapping, repr(mapping)))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A mapping that equals those with its text, in which the constants 1 and true are not the same."""

    mapping: DatasetMapping = field(compare=False)
    text: str


@lru_cache(maxsize=16)
def _layout_of(shown: _Shown) -> KeptLayout:
    return KeptLayout(shown.mapping, view_columns(shown.mapping))


def build_select(mapping: DatasetMapping, *, joined: bool = False) -> sa.Select[Any]:
    """Return the whole SELECT of the view.

    Parameters
    ----------
    mapping
        What the view is made from.
    joined
        Whether constants come from ``tapdb.dataset_type_mapping`` instead of being written into the
        statement: the same rows, only slower.

    Raises
    ------
    MappingError
        Raised if the configuration asks for something that the registry does not have.
    """
    columns = view_columns(mapping)
    if mapping.config.tapdb.geometry == "table" and not joined:
        return _kept_select(kept_layout(mapping), columns)
    branches = [
        build_branch(mapping, place, [one], columns, joined=joined)
        for one in mapping.dataset_types
        for place in one.places
    ]
    return layer(columns, branches, centre=mapping.config.pgsphere_columns[1])


def released_select(mapping: DatasetMapping) -> sa.Select[Any]:
    """Return the SELECT of the view of what is released: the same, and the instant of release has come.

    ``tapdb.release_instant`` is called once a query. It says until when the role that reads sees datasets;
    those without a date are for roles that see all.
    """
    select = build_select(mapping)
    config = mapping.config
    instant = sa.select(sa.func.tapdb.release_instant(config.view_schema, config.view_name))
    (date,) = (one.element for one in select.selected_columns if one.key == "obs_release_date")
    never = sa.cast(sa.literal("infinity", sa.Text()), sa.DateTime())
    return select.where(sa.func.coalesce(date, never) <= instant.scalar_subquery())


def _kept_select(layout: KeptLayout, columns: Sequence[ObsCoreColumn]) -> sa.Select[Any]:
    """Return the SELECT over kept tables: one flat join, which PostgreSQL can drive from any side."""
    row = kept_row(layout, columns)
    return (
        sa.select(*(row[one.name].label(one.name) for one in columns))
        .select_from(layout.view_source())
        .where(*layout.view_conditions())
    )


def kept_row(layout: KeptLayout, columns: Sequence[ObsCoreColumn]) -> dict[str, sa.ColumnElement[Any]]:
    """Return columns of a view over its kept tables."""
    region, centre = layout.mapping.config.pgsphere_columns
    here: dict[str, sa.ColumnElement[Any]] = {
        "s_region": sa.literal(_STCS_PREFIX, sa.Text()).concat(layout.region.c.outline),
        centre: sa.func.public.spoint(
            sa.func.radians(layout.region.c.s_ra), sa.func.radians(layout.region.c.s_dec)
        ),
        region: layout.region.c.pgs_region,
        DATASET_ID_COLUMN: layout.dataset.c.dataset_id,
    }
    here |= {name: layout.region.c[name] for name in ("s_ra", "s_dec", "s_fov")}
    return {one.name: here[one.name] if one.name in here else layout.expression(one) for one in columns}


def _extra_column(name: str, value: ExtraColumnConfig | Constant, index: int) -> ObsCoreColumn:
    if isinstance(value, ExtraColumnConfig):
        kind, doc = value.type, value.doc
    else:
        names = {bool: ExtraColumnType.bool, int: ExtraColumnType.int, float: ExtraColumnType.float}
        kind, doc = names.get(type(value), ExtraColumnType.string), None
    sql_type, datatype, arraysize = _EXTRA_TYPES[kind]
    return ObsCoreColumn(
        name=name,
        sql_type=sql_type,
        datatype=datatype,
        arraysize=arraysize,
        xtype=None,
        unit=None,
        ucd="",
        utype=None,
        description=doc or f"{name}, a column of this archive's own",
        mandatory=False,
        principal=False,
        std=False,
        index=index,
    )


def _renamed(column: ObsCoreColumn, name: str) -> ObsCoreColumn:
    return column if column.name == name else replace(column, name=name)
