"""The ObsCore configuration as one value, and what follows from it."""

from __future__ import annotations

import enum
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from obscore_view.config_sections import (
    DataOrigin,
    DatasetTypeConfig,
    ExtraColumnValue,
    Section,
    SpatialPluginConfig,
    TapdbOptions,
    WhereBind,
)

__all__ = ["CollectionRule", "CollectionType", "ObsCoreConfig"]

# Neither the exporter's output nor Butler's own table changes the view.
_NOT_IN_VIEW = frozenset(
    {
        "use_butler_uri",
        "namespace",
        "version",
        "table_name",
        "indices",
        "batch_size",
        "parquet_compression",
        "csv_null_string",
        "origin",
    }
)
_REPO_IN_DID = re.compile(r"[?&]repo=([^&{}]+)|^butler://([^/{}]+)/")


class CollectionType(enum.StrEnum):
    """Kinds of collection that Butler's live table can follow."""

    RUN = "RUN"
    TAGGED = "TAGGED"


@dataclass(frozen=True, slots=True)
class CollectionRule:
    """Which datasets are published, as far as collections decide it.

    Attributes
    ----------
    kind
        ``run-regex``: every RUN collection whose name one of the patterns matches as a whole; ``tagged``: one
        TAGGED collection; ``find-first``: for each data ID, the dataset in the first collection that has one.
    names
        Patterns (Python regular expressions; none at all for all RUN collections) or names of collections.
    """

    kind: Literal["run-regex", "tagged", "find-first"]
    names: tuple[str, ...]


class ObsCoreConfig(Section):
    """Everything that decides what an ObsCore view holds."""

    facility_name: str
    """Value of ``facility_name`` for instruments that ``facility_map`` does not list."""

    facility_map: dict[str, str] = Field(default_factory=dict)
    """Value of ``facility_name`` by instrument."""

    fallback_instrument: str | None = None
    """Value of ``instrument_name`` for datasets without instrument dimension, such as coadds."""

    obs_collection: str | None = None
    """Value of ``obs_collection`` for dataset types that give none of their own."""

    obs_publisher_did_fmt: str | None = None
    """Format string for ``obs_publisher_did``."""

    collections: tuple[str, ...] | None = None
    """Collections to publish: regular expressions for names of RUN collections if ``collection_type`` is RUN,
    one name if it is TAGGED, names in the order of search if there is no ``collection_type``."""

    collection_type: CollectionType | None = None
    """How Butler's live table reads ``collections``; left out in configurations of the exporter."""

    dataset_types: dict[str, DatasetTypeConfig]
    """Published dataset types, by name."""

    extra_columns: dict[str, ExtraColumnValue] | None = None
    """Columns beside the standard ones, for all dataset types, by name."""

    spectral_ranges: dict[str, tuple[float | None, float | None]] = Field(default_factory=dict)
    """Shortest and longest wavelength (m) by physical filter or band; the filter's pair wins as a whole."""

    spatial_plugins: dict[str, SpatialPluginConfig] = Field(default_factory=dict)
    """Plug-ins of Butler's live table, by any name."""

    indices: dict[str, str | tuple[str, ...]] | None = None
    """Columns that Butler's live table indexes, by any name; a view has no indexes of its own."""

    where: WhereBind = WhereBind()
    """Restriction on the datasets of all types without ``dataset_type_constraints``."""

    dataset_type_constraints: dict[str, tuple[WhereBind, ...]] = Field(default_factory=dict)
    """Restrictions by dataset type, instead of ``where``; a dataset is published if it meets one of them."""

    namespace: str = "daf_butler_obscore"
    """Name of the configuration in Butler's schema migrations."""

    version: int | None = None
    """Version of the configuration in Butler's schema migrations."""

    table_name: str = "obscore"
    """Name of Butler's live table."""

    batch_size: int = 10_000
    """Rows that the exporter writes at a time."""

    parquet_compression: str = "snappy"
    """Compression of the exporter's Parquet files."""

    csv_null_string: str = r"\N"
    """What the exporter writes for NULL in CSV."""

    origin: DataOrigin | None = None
    """Where the data come from."""

    use_butler_uri: bool | None = None
    """Without effect, here as in Butler; still in many configurations."""

    tapdb: TapdbOptions = TapdbOptions()
    """What the view can do beyond Butler's own ObsCore."""

    @property
    def collection_rule(self) -> CollectionRule:
        """Which datasets are published, as far as collections decide it."""
        if self.tapdb.find_first is not None:
            return CollectionRule("find-first", self.tapdb.find_first)
        names = self.collections or ()
        match self.collection_type:
            case CollectionType.RUN:
                return CollectionRule("run-regex", names)
            case CollectionType.TAGGED:
                return CollectionRule("tagged", names)
            case None:
                return CollectionRule("find-first", names)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of all that decides the view.

        Comments, layout and spelled-out defaults do not count; the order of mappings does: that of columns.
        """
        content = self.model_dump(mode="json", exclude=set(_NOT_IN_VIEW), exclude_defaults=True)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def view_schema(self) -> str:
        """Schema of the view, in lower case as PostgreSQL keeps unquoted names."""
        return self.tapdb.view.partition(".")[0].lower()

    @property
    def view_name(self) -> str:
        """Name of the view within its schema, in lower case as PostgreSQL keeps unquoted names."""
        return self.tapdb.view.partition(".")[2].lower()

    @property
    def repository_label(self) -> str | None:
        """Label of the Butler repository in dataset identifiers; None if nothing tells it."""
        if self.tapdb.repo_label is not None:
            return self.tapdb.repo_label
        found = _REPO_IN_DID.search(self.obs_publisher_did_fmt or "")
        return (found[1] or found[2]) if found else None

    @property
    def pgsphere_columns(self) -> tuple[str, str]:
        """Names of the columns with the region and the centre as pgSphere values."""
        for plugin in self.spatial_plugins.values():
            if plugin.cls.endswith("PgSphereObsCorePlugin"):
                region = plugin.config.get("region_column", "pgsphere_region")
                return region, plugin.config.get("position_column", "pgsphere_position")
        return "pgs_region", "pgs_center"

    def extra_columns_of(self, dataset_type: str) -> dict[str, ExtraColumnValue]:
        """Return the extra columns of a dataset type, by name; its own win over the global ones."""
        return {**(self.extra_columns or {}), **(self.dataset_types[dataset_type].extra_columns or {})}

    def constraints_of(self, dataset_type: str) -> tuple[WhereBind, ...]:
        """Return the restrictions on a dataset type, one of which a dataset has to meet; () for none."""
        found = self.dataset_type_constraints.get(dataset_type, (self.where,))
        return found if all(one.where or one.extra_dims for one in found) else ()
