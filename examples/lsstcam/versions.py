"""Registries as older releases of daf_butler laid them out: dimension universes, managers, schema versions.

Today's daf_butler makes all of them: it ships the old dimension universes and still writes the old schemas.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from lsst.daf.butler import Config

__all__ = ["NEWEST", "NEWEST_UNIVERSE", "OLDEST_UNIVERSE", "RegistryVersion"]

OLDEST_UNIVERSE = 0
NEWEST_UNIVERSE = 8

_REGISTRY = "lsst.daf.butler.registry"
_DATASETS_MANAGER = f"{_REGISTRY}.datasets.byDimensions.ByDimensionsDatasetRecordStorageManagerUUID"
_COLLECTIONS_MANAGERS = {
    "integer": f"{_REGISTRY}.collections.synthIntKey.SynthIntKeyCollectionManager",
    "name": f"{_REGISTRY}.collections.nameKey.NameKeyCollectionManager",
}


@dataclass(frozen=True, slots=True)
class RegistryVersion:
    """How a registry is laid out.

    Attributes
    ----------
    universe
        Version of the dimension universe, 0 to 8.
    datasets
        Schema version of the datasets manager. In ``1.0.0`` the column ``ingest_date`` is a timestamp, in
        ``2.0.0`` a count of TAI nanoseconds.
    collection_key
        Whether collections have an ``integer`` key, or are referred to by ``name`` everywhere.
    """

    universe: int = NEWEST_UNIVERSE
    datasets: str = "2.0.0"
    collection_key: str = "integer"

    def add_to(self, config: Config) -> None:
        """Put the managers that this layout needs into a configuration of a new repository."""
        config["registry", "managers", "datasets"] = {
            "cls": _DATASETS_MANAGER,
            "schema_version": self.datasets,
        }
        config["registry", "managers", "collections"] = _COLLECTIONS_MANAGERS[self.collection_key]

    def dimensions(self) -> Config:
        """Return the configuration of the dimension universe."""
        folder = files("lsst.daf.butler") / "configs" / "old_dimensions"
        return Config(str(folder / f"daf_butler_universe{self.universe}.yaml"))


NEWEST = RegistryVersion()
