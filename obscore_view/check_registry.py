"""How a registry has moved on since a view was made over it: what was recorded against what is."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingABC
from dataclasses import replace
from typing import Any

from obscore_view.finding import Finding
from obscore_view.mapping import Mapping, build_mapping
from obscore_view.snapshot import DatasetType, Registry

__all__ = ["REFRESH", "compare_registry"]

REFRESH = "tapdb obscore refresh"
"""What makes a view anew."""

_LAYOUT_ROLES = ("collections", "datasets", "datastores", "dimensions")
"""Managers that decide the layout of tables that the view reads."""


def compare_registry(fingerprint: MappingABC[str, Any], mapping: Mapping) -> tuple[Finding, ...]:
    """Return what has changed in the registry that a view depends on.

    Parameters
    ----------
    fingerprint
        What was recorded when the view was made (`Registry.fingerprint`).
    mapping
        The view's configuration, matched with the registry as it is now.
    """
    return (
        *_versions(fingerprint, mapping.registry),
        *_dataset_types(fingerprint, mapping),
        *_columns(fingerprint, mapping.registry),
        *_datastores(fingerprint, mapping),
    )


def _versions(then: MappingABC[str, Any], registry: Registry) -> Iterator[Finding]:
    now = registry.fingerprint(())
    if now["universe"] != then["universe"]:
        detail = f"was version {then['universe']}, is version {now['universe']}"
        yield Finding("drift", "dimension universe", detail, REFRESH)
    for role in _LAYOUT_ROLES:
        before, after = (_manager(one["managers"].get(role)) for one in (then, now))
        if before != after:
            yield Finding("drift", f"{role} manager", f"was {before}, is {after}", REFRESH)


def _manager(manager: MappingABC[str, str] | None) -> str:
    return "none" if manager is None else f"{manager['cls']} {manager['version']}"


def _dataset_types(then: MappingABC[str, Any], mapping: Mapping) -> Iterator[Finding]:
    registry = mapping.registry
    before = {name: _dataset_type(one) for name, one in then["dataset_types"].items()}
    old = build_mapping(mapping.config, replace(registry, dataset_types=before))
    shown = {one.name: {place.tags_table for place in one.places} for one in old.dataset_types}
    for now in mapping.dataset_types:
        name, was, is_now = (
            f"dataset type {now.name}",
            before.get(now.name),
            registry.dataset_types.get(now.name),
        )
        if was is not None:
            if change := _change(was, is_now):
                yield Finding("drift", name, change, REFRESH)
            continue
        missing = sorted({place.tags_table for place in now.places} - shown[now.name])
        if is_now is None:
            yield Finding("notice", name, "is configured and not registered: it has no rows yet")
        if missing and is_now is not None:
            group = ", ".join(is_now.required) or "none"
            detail = f"was registered since, in a dimension group that the view does not read ({group})"
            yield Finding("drift", name, detail, REFRESH)
        elif missing:
            detail = f"would not be seen in tags tables that are new: {', '.join(missing)}"
            yield Finding("drift", name, detail, REFRESH)
        elif is_now is not None:
            detail = "was registered since; its datasets are in the view"
            yield Finding("notice", name, detail, f"{REFRESH} makes the view smaller")


def _dataset_type(content: MappingABC[str, Any]) -> DatasetType:
    return DatasetType(**{**content, "required": tuple(content["required"])})


def _change(was: DatasetType, now: DatasetType | None) -> str:
    """Return what has become of a dataset type, in words; nothing if it is as it was."""
    if now is None:
        return "was removed from the registry: its rows are gone"
    changes = []
    if now.id != was.id:
        changes.append(f"was removed and registered again (id {was.id}, now {now.id})")
    if now.required != was.required:
        changes.append(
            f"has other dimensions (were {', '.join(was.required)}; are {', '.join(now.required)})"
        )
    if now.tags_table != was.tags_table:
        changes.append(f"moved from tags table {was.tags_table} to {now.tags_table}")
    return "; ".join(changes)


def _columns(then: MappingABC[str, Any], registry: Registry) -> Iterator[Finding]:
    for table, columns in then["columns"].items():
        now = registry.columns.get(table)
        if columns and now is None:
            yield Finding("drift", f"table {registry.schema}.{table}", "is not there any more", REFRESH)
            continue
        for column, was in columns.items():
            is_now = (now or {}).get(column)
            if is_now != was:
                detail = f"was {was}, " + ("is not there any more" if is_now is None else f"is {is_now}")
                yield Finding("drift", f"column {registry.schema}.{table}.{column}", detail, REFRESH)


def _datastores(then: MappingABC[str, Any], mapping: Mapping) -> Iterator[Finding]:
    before, now = tuple(then["datastore_tables"]), mapping.registry.datastore_tables
    if mapping.config.tapdb.datastore_tables is None and before != now:
        detail = f"were {', '.join(before) or 'none'}; are {', '.join(now) or 'none'}"
        yield Finding("drift", "tables of the datastores", detail, REFRESH)
