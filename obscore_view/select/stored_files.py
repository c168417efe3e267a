"""What is stored of a dataset: sizes of its files, and whether it is online, replaced, virtual or purged."""

from typing import Any

import sqlalchemy as sa

from obscore_view.config.model import PresenceRule
from obscore_view.errors import MappingError
from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_rows import butler_table
from obscore_view.select.relations import BranchJoins
from obscore_view.select.text import ColumnValues


def stored(
    mapping: DatasetMapping, dataset_type: str, relations: BranchJoins, row: ColumnValues
) -> ColumnValues:
    """Return the size of a dataset's files and, if the configuration wants it, what is stored of it."""
    size = _size(mapping, relations.dataset_id)
    if (presence := mapping.config.tapdb.presence) is None:
        return {"access_estsize": size}
    rule = presence.get(dataset_type, PresenceRule())
    is_here = _has_file(mapping, relations.dataset_id)
    states: list[tuple[sa.ColumnElement[bool], Any]] = [(is_here, "online")]
    found: ColumnValues = {"access_estsize": size}
    if rule.replaced_by is not None:
        _require_same_dimensions(mapping, dataset_type, rule.replaced_by)
        other = _with_same_data_id(mapping, dataset_type, rule.replaced_by, relations)
        if other is not None:
            identifier = other.with_only_columns(sa.func.min(sa.cast(other.selected_columns[0], sa.Text())))
            replaced = sa.cast(identifier.scalar_subquery(), sa.Uuid())
            states.append((other.exists(), "replaced"))
            found["replaced_by"] = sa.case((~is_here, replaced))
            found["access_estsize"] = sa.func.coalesce(size, _size(mapping, replaced))
    inputs = [_with_same_data_id(mapping, dataset_type, one, relations) for one in rule.made_from]
    if inputs and None not in inputs:
        states.append((sa.and_(*(one.exists() for one in inputs if one is not None)), "virtual"))
    found["presence"] = sa.case(*states, else_=sa.literal("purged", sa.Text()))
    if "access_url" in row:
        found["access_url"] = sa.case((sa.or_(*(state for state, _ in states)), row["access_url"]))
    return found


def _require_same_dimensions(mapping: DatasetMapping, dataset_type: str, other: str) -> None:
    """Check that a dataset has one data ID in both types: the file of another one does not replace it.

    Raises
    ------
    MappingError
        Raised if both are registered, with different dimensions.
    """
    known = mapping.registry.dataset_types
    kind, mine = known.get(other), known.get(dataset_type)
    if kind is not None and mine is not None and set(kind.required) != set(mine.required):
        theirs, ours = (", ".join(one.required) or "none" for one in (kind, mine))
        raise MappingError(
            f"tapdb.presence.{dataset_type}.replaced_by",
            f"{other} has other dimensions ({theirs}) than {dataset_type} ({ours})",
            "name a dataset type with the same dimensions",
        )


def _files(mapping: DatasetMapping) -> list[sa.FromClause]:
    names = mapping.config.tapdb.datastore_tables or mapping.registry.datastore_tables
    return [butler_table(mapping.registry, name).alias("f") for name in names]


def _has_file(mapping: DatasetMapping, dataset: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    found = (sa.exists().where(files.c.dataset_id == dataset) for files in _files(mapping))
    return sa.or_(sa.false(), *found)


def _with_same_data_id(
    mapping: DatasetMapping, dataset_type: str, other: str, relations: BranchJoins
) -> sa.Select[Any] | None:
    """Return the SELECT of the UUIDs of datasets with a file that have the data ID of another type.

    Of a type that is not registered there are none. Dimensions count that both types have.
    """
    registry = mapping.registry
    kind, mine = registry.dataset_types.get(other), registry.dataset_types.get(dataset_type)
    if kind is None or mine is None:
        return None
    here = butler_table(registry, relations.place.tags_table).alias("ph")
    there = butler_table(registry, kind.tags_table).alias("pt")
    types = butler_table(registry, "dataset_type").alias("pd")
    same = [there.c[name] == here.c[name] for name in kind.required if name in mine.required]
    return (
        sa.select(there.c.dataset_id)
        .select_from(here.join(there, sa.and_(sa.true(), *same)))
        .join(types, types.c.id == there.c.dataset_type_id)
        .where(here.c.dataset_id == relations.dataset_id, types.c.name == other)
        .where(_has_file(mapping, there.c.dataset_id))
        # Also where it stands in the condition of another SELECT.
        .correlate_except(here, there, types)
    )


def _size(mapping: DatasetMapping, dataset: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the size of a dataset's files in kB, rounded up; NULL if no datastore knows it (Butler: -1)."""
    sizes = []
    for files in _files(mapping):
        kilobytes = sa.func.ceil(
            sa.func.sum(sa.func.nullif(files.c.file_size, -1)) / sa.literal_column("1000.0")
        )
        sizes.append(sa.select(kilobytes).where(files.c.dataset_id == dataset).scalar_subquery())
    if not sizes:
        return sa.cast(sa.null(), sa.BigInteger())
    return sizes[0] if len(sizes) == 1 else sa.func.coalesce(*sizes)
