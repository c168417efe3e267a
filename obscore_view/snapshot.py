"""What was read of a Butler registry: one frozen value that the view is made from and later compared with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from obscore_view.universe import DimensionGroup, Universe

__all__ = ["CollectionKey", "DatasetType", "Manager", "Registry"]


@dataclass(frozen=True, slots=True)
class Manager:
    """One of Butler's managers: the class that a registry was made with, and its schema version."""

    role: str
    cls: str
    version: str


@dataclass(frozen=True, slots=True)
class DatasetType:
    """A registered dataset type.

    Attributes
    ----------
    id
        Key in ``dataset_type``; a dataset type that is removed and registered again gets another one.
    name
        Name.
    required
        Required dimensions.
    tags_table
        Table that associates its datasets with RUN and TAGGED collections.
    """

    id: int
    name: str
    required: tuple[str, ...]
    tags_table: str


@dataclass(frozen=True, slots=True)
class CollectionKey:
    """How collections are referred to: by integer, or by name in repositories of old.

    Attributes
    ----------
    column
        Key column of ``collection``.
    tags_column
        Column of the tags tables that refers to it.
    run_column
        Column of ``dataset`` that refers to the RUN.
    """

    column: str
    tags_column: str
    run_column: str


@dataclass(frozen=True, slots=True)
class Registry:
    """A Butler registry, as far as an ObsCore view depends on it.

    Attributes
    ----------
    schema
        Database schema.
    universe
        Dimension universe.
    managers
        Butler's managers, by role.
    dataset_types
        Registered dataset types, by name.
    columns
        Type of every column of every table, by table and column.
    datastore_tables
        Tables with the files of the datastores.
    """

    schema: str
    universe: Universe
    managers: Mapping[str, Manager]
    dataset_types: Mapping[str, DatasetType]
    columns: Mapping[str, Mapping[str, str]]
    datastore_tables: tuple[str, ...]

    @property
    def collection_key(self) -> CollectionKey:
        """How collections are referred to."""
        if "collection_id" in self.columns["collection"]:
            return CollectionKey("collection_id", "collection_id", "run_id")
        return CollectionKey("name", "collection_name", "run_name")

    @property
    def groups(self) -> Mapping[str, DimensionGroup]:
        """Dimension groups in which something is registered, by their tags table."""
        found = {one.tags_table: one.required for one in self.dataset_types.values()}
        return {table: self.universe.conform(required) for table, required in sorted(found.items())}

    def has_column(self, table: str, column: str) -> bool:
        """Return whether a table is there and has a column."""
        return column in self.columns.get(table, {})

    def fingerprint(self, tables: tuple[str, ...]) -> dict[str, Any]:
        """Return what a view over the given tables depends on, as JSON, to be compared later."""
        return {
            "universe": self.universe.version,
            "managers": {role: asdict(manager) for role, manager in sorted(self.managers.items())},
            "dataset_types": {name: asdict(one) for name, one in sorted(self.dataset_types.items())},
            "columns": {table: dict(self.columns.get(table, {})) for table in sorted(tables)},
            "datastore_tables": list(self.datastore_tables),
        }

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of all that was read."""
        content = json.dumps(self.fingerprint(tuple(self.columns)), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
