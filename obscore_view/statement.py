"""The view as one SELECT, and its columns: a branch for each dataset type, constants written into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from obscore_view.branch import build_branch
from obscore_view.columns import OBSCORE_COLUMNS, ObsCoreColumn
from obscore_view.config import ExtraColumnConfig, ExtraColumnType
from obscore_view.config_sections import Constant
from obscore_view.layers import layer
from obscore_view.mapping import Mapping

__all__ = ["build_select", "view_columns"]

# Type in PostgreSQL, type in VOTable, array size.
_EXTRA_TYPES: dict[ExtraColumnType, tuple[sa.types.TypeEngine[Any], str, str | None]] = {
    ExtraColumnType.bool: (sa.Boolean(), "boolean", None),
    ExtraColumnType.int: (sa.BigInteger(), "long", None),
    ExtraColumnType.float: (sa.Double(), "double", None),
    ExtraColumnType.string: (sa.Text(), "char", "*"),
}
_ALWAYS = {"dataproduct_subtype", "em_filter_name", "registry_dataset_id"}
_FIRST_EXTRA_INDEX = 2000


def view_columns(mapping: Mapping) -> tuple[ObsCoreColumn, ...]:
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
    if config.tapdb.obs_release_date is not None or config.tapdb.embargo_hours is not None:
        filled.add("obs_release_date")
    region, centre = config.pgsphere_columns
    renamed = {"pgs_region": region, "pgs_center": centre}
    standard = {one.name for one in OBSCORE_COLUMNS}
    chosen = [one for one in OBSCORE_COLUMNS if one.mandatory or one.name in filled or one.name in renamed]
    named = [_renamed(one, renamed.get(one.name, one.name)) for one in chosen]
    plain = [one for one in named if one.std or one.name == "em_filter_name"]
    technical = [one for one in named if one not in plain]
    return (*plain, *(one for name, one in extra.items() if name not in standard), *technical)


def build_select(mapping: Mapping, *, joined: bool = False) -> sa.Select[Any]:
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
    branches = [
        build_branch(mapping, place, dataset_types, columns, joined=joined)
        for place, dataset_types in mapping.branches
    ]
    return layer(columns, branches, centre=mapping.config.pgsphere_columns[1])


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
