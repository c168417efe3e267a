"""What a view has to know of a Butler registry, frozen: its dimensions, and all that is read of it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from obscore_view.errors import UnsupportedRegistryError

SUPPORTED_VERSIONS = range(1, 9)
"""Versions of the ``daf_butler`` universe for which the view is tested."""


@dataclass(frozen=True, slots=True)
class Element:
    """A dimension, or a combination of dimensions with a table of its own such as ``visit_detector_region``.

    Attributes
    ----------
    name
        Name, which is its table's too.
    key
        Name of its own key column (``id`` or ``name``); None for a combination.
    required
        Dimensions that identify a record, in the order of the universe; a dimension's own name included.
    implied
        Dimensions whose values a record gives.
    """

    name: str
    key: str | None
    required: tuple[str, ...]
    implied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SkyPixel:
    """A dimension whose values are the pixels of a pixelization of the sky, of one size.

    Butler has no records of them: their regions follow from their numbers.

    Attributes
    ----------
    name
        Name of the dimension: that of the pixelization and the level.
    system
        Name of the pixelization.
    level
        How often its first pixels are divided.
    """

    name: str
    system: str
    level: int


@dataclass(frozen=True, slots=True)
class DimensionGroup:
    """The dimensions of a dataset type.

    Attributes
    ----------
    required
        Dimensions with a column in the tags table.
    dimensions
        These and all that they imply.
    region_element
        Element with the region of such datasets, or `SkyPixel`; None if there is none or more than one (a
        warp lies on a patch and in a visit).
    timespan_element
        Likewise for the time.
    """

    required: tuple[str, ...]
    dimensions: frozenset[str]
    region_element: str | None
    timespan_element: str | None


@dataclass(frozen=True, slots=True)
class Universe:
    """All dimensions of a repository."""

    version: int
    elements: Mapping[str, Element]
    spatial: tuple[tuple[str, ...], ...]
    temporal: tuple[tuple[str, ...], ...]
    pixelizations: frozenset[str] = frozenset()

    def pixel(self, name: str) -> SkyPixel | None:
        """Return what the dimension of this name is if it is one of pixels of the sky."""
        system = name.rstrip("0123456789")
        if name in self.elements or system not in self.pixelizations or system == name:
            return None
        return SkyPixel(name, system, int(name[len(system) :]))

    def required(self, name: str) -> tuple[str, ...]:
        """Return the dimensions that identify a record of an element, or a pixel."""
        return self.elements[name].required if name in self.elements else (name,)

    def conform(self, required: Iterable[str]) -> DimensionGroup:
        """Return the group with the given required dimensions and all that they imply."""
        names = set(required)
        while more := {one for name in names for one in self._close(name)} - names:
            names |= more
        present = frozenset(
            name
            for name, element in self.elements.items()
            if name in names or names.issuperset(element.required)
        )
        return DimensionGroup(
            required=tuple(sorted(set(required), key=self._order)),
            dimensions=frozenset(names),
            region_element=_choose((*self.spatial, *self._pixels(names)), present | names),
            timespan_element=_choose(self.temporal, present),
        )

    def _pixels(self, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Yield the pixels of each pixelization, the smallest first: each is a family of its own."""
        found = [one for one in map(self.pixel, names) if one is not None]
        for system in sorted({one.system for one in found}):
            mine = sorted((one for one in found if one.system == system), key=lambda one: -one.level)
            yield tuple(one.name for one in mine)

    def _order(self, name: str) -> tuple[int, str]:
        # Pixels of the sky (htm7, healpix9) are dimensions without a place among the elements.
        names = list(self.elements)
        return (names.index(name) if name in self.elements else len(names), name)

    def _close(self, name: str) -> set[str]:
        element = self.elements.get(name)
        return set() if element is None else {*element.required, *element.implied}


def parse_universe(definition: Mapping[str, Any]) -> Universe:
    """Return the universe that a registry's ``config:dimensions.json`` defines.

    Raises
    ------
    UnsupportedRegistryError
        Raised if it is not one of the supported versions of daf_butler's own universe.
    """
    namespace, version = definition.get("namespace", "daf_butler"), int(definition.get("version", 0))
    if namespace != "daf_butler" or version not in SUPPORTED_VERSIONS:
        raise UnsupportedRegistryError(
            "dimension universe",
            f"{namespace} version {version}",
            f"daf_butler versions {SUPPORTED_VERSIONS[0]} to {SUPPORTED_VERSIONS[-1]}",
        )
    elements: dict[str, Element] = {}
    raw = definition["elements"]
    for name in raw:
        _add(name, raw, elements)
    topology = definition.get("topology", {})
    return Universe(
        version=version,
        elements=elements,
        spatial=tuple(tuple(family) for family in topology.get("spatial", {}).values()),
        temporal=tuple(tuple(family) for family in topology.get("temporal", {}).values()),
        pixelizations=frozenset(definition.get("skypix", {}).keys() - {"common"}),
    )


def _add(name: str, raw: Mapping[str, Any], elements: dict[str, Element]) -> None:
    if name in elements:
        return
    given = raw[name]
    required: dict[str, None] = {}
    for other in given.get("requires", ()):
        _add(other, raw, elements)
        required.update(dict.fromkeys(elements[other].required))
    keys = given.get("keys") or ()
    if keys:
        required[name] = None
    elements[name] = Element(
        name, keys[0]["name"] if keys else None, tuple(required), tuple(given.get("implies", ()))
    )


def _choose(families: tuple[tuple[str, ...], ...], present: frozenset[str]) -> str | None:
    found = [next((name for name in family if name in present), None) for family in families]
    named = [name for name in found if name is not None]
    return named[0] if len(named) == 1 else None


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
