"""The parts of an ObsCore configuration, as they stand in its YAML text.

The keys are those of daf_butler's ``ObsCoreConfig`` and of dax_obscore's exporter; only the section ``tapdb``
is ours. Nothing is checked here but the shape: `obscore_view.config.checks` sees to the meaning.
"""

import datetime as dt
import enum
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    field_serializer,
)


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, the text below a field describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ExtraColumnType(enum.StrEnum):
    """Types that an extra column can have."""

    bool = "bool"
    int = "int"
    float = "float"
    string = "string"


class ExtraColumnConfig(Section):
    """A column beside the standard ones, made from a format string."""

    template: str
    """Format string for the value. A key that the data ID lacks makes the value NULL."""

    type: ExtraColumnType = ExtraColumnType.string
    """Type to which the formatted string is converted."""

    length: int | None = None
    """Length of the column in Butler's table; the view has text without limit and takes no notice."""

    doc: str | None = None
    """Description of the column, for COMMENT ON COLUMN and TAP_SCHEMA."""


class ColumnTemplate(Section):
    """A standard column made from a format string."""

    template: str
    """Format string for the value. A key that the data ID lacks makes the value NULL."""


def _kind(value: object) -> str | None:
    if isinstance(value, dict | BaseModel):
        return "(template)"
    return "(constant)" if isinstance(value, bool | int | float | str) else None


def _as_time(value: object) -> object:
    """Return a time without zone; pydantic alone would take a number for seconds since 1970."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    if isinstance(value, dt.datetime | str | None):
        return value
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    raise ValueError("a date or time, YYYY-MM-DDThh:mm:ss")


def _as_mode(value: object) -> object:
    """Return a mode; ``index``, which revision 0002 and before had, is ``table``."""
    return "table" if value == "index" else value


Constant = StrictBool | StrictInt | StrictFloat | StrictStr
"""A literal value of an extra column; a string is taken as it stands, braces and all."""

# The tags have brackets so that no key of a configuration can be mistaken for one of them in an error's
# location.
ExtraColumnValue = Annotated[
    Annotated[ExtraColumnConfig, Tag("(template)")] | Annotated[Constant, Tag("(constant)")],
    Discriminator(_kind),
]
ColumnValue = Annotated[
    Annotated[ColumnTemplate, Tag("(template)")] | Annotated[Constant, Tag("(constant)")],
    Discriminator(_kind),
]


class DatasetTypeConfig(Section):
    """What the datasets of one dataset type are, and how to name them."""

    dataproduct_type: str
    """Value of ``dataproduct_type``, such as image."""

    dataproduct_subtype: str | None = None
    """Value of ``dataproduct_subtype``, such as lsst.raw."""

    calib_level: int
    """Value of ``calib_level``, 0 to 4."""

    o_ucd: str | None = None
    """Value of ``o_ucd``: UCD of what is measured."""

    access_format: str | None = None
    """Value of ``access_format``: media type of what ``access_url`` returns."""

    obs_id_fmt: str | None = None
    """Format string for ``obs_id``."""

    datalink_url_fmt: str | None = None
    """Format string for ``access_url``; it may use ``{obs_id}``."""

    obs_collection: str | None = None
    """Value of ``obs_collection`` for this dataset type, instead of the global one."""

    s_xel: tuple[int, int] | None = None
    """Values of ``s_xel1`` and ``s_xel2``, in pixels."""

    extra_columns: dict[str, ExtraColumnValue] | None = None
    """Columns beside the standard ones, by name; they win over global ones of the same name."""


class SpatialPluginConfig(Section):
    """A plug-in of Butler's live table that adds spatial columns."""

    cls: str
    """Name of the plug-in's class. The view knows PgSphereObsCorePlugin and DefaultSpatialObsCorePlugin."""

    config: dict[str, Any] = Field(default_factory=dict)
    """Options of the plug-in: ``region_column`` and ``position_column`` for PgSphereObsCorePlugin."""


class WhereBind(Section):
    """A Butler query expression and the values of its binds."""

    where: str = ""
    """Expression that restricts the datasets; empty for no restriction."""

    bind: dict[str, Any] = Field(default_factory=dict)
    """Values of identifiers in the expression."""

    extra_dims: frozenset[str] = frozenset()
    """Dimensions to join besides those of the dataset type."""

    @field_serializer("extra_dims")
    def _sorted(self, extra_dims: frozenset[str]) -> list[str]:
        return sorted(extra_dims)


class DataOrigin(Section):
    """Where the data come from, for the INFO elements of a VOTable (IVOA Note DataOrigin)."""

    publisher: str
    """Data centre that publishes the datasets."""

    publication_date: dt.date
    """Date of publication."""

    citation: str | None = None
    """DOI of the datasets."""

    reference_url: str | None = None
    """Page that describes the datasets."""

    article: str | None = None
    """DOI of a publication that describes the datasets."""

    title: str | None = None
    """Title of the datasets."""


class EmbargoRule(Section):
    """When datasets are public; a rule without conditions is for all that no earlier one has met."""

    instrument: str | None = None
    """Instrument; any if left out."""

    dataset_type: str | None = None
    """Dataset type; any if left out."""

    observation_type: str | None = None
    """Value of ``observation_type`` of the exposure, such as science; datasets of visits have none."""

    on_sky: bool | None = None
    """Whether the camera saw the sky: ``can_see_sky`` of the exposure; datasets of visits did."""

    hours: float | None = None
    """Hours from the end of the observation (``t_max``) until the datasets are public."""

    date: Annotated[dt.datetime | None, BeforeValidator(_as_time)] = None
    """Date or time (UTC) from which they are public, in place of ``hours``, as for coadds."""


class DataRights(Section):
    """Values of ``data_rights`` of a dataset before and after its release."""

    before: str = "proprietary"
    """Value until the release."""

    after: str = "public"
    """Value from the release on."""


class ReleaseOptions(Section):
    """What is public when, and who may see the rest before."""

    view: str | None = None
    """Name of a view, ``schema.name``, of what is released: a row appears in it when its time has come.

    Readers then may read this view alone, and not the one with all rows. Its schema is ivoa, or that of the
    view with all rows.
    """

    readers: tuple[str, ...] = ()
    """Roles of the database that may see all rows: through both views, and in links and files.

    If there are any, readers in general may not read the view with all rows.
    """

    embargo: tuple[EmbargoRule, ...] = ()
    """When datasets are public: the first rule that fits counts; what none fits stays embargoed."""

    data_rights: DataRights | None = None
    """Values of ``data_rights`` before and after the release."""


class PresenceRule(Section):
    """What takes the place of the files of a dataset type once they are deleted."""

    replaced_by: str | None = None
    """Dataset type of a lossy-compressed version, with the same data ID, whose file is given instead."""

    made_from: tuple[str, ...] = ()
    """Dataset types from which a dataset can be made again while files of all of them are there."""

    days: float | None = None
    """Days from the end of the observation until the files are to go; they are kept if left out."""


class TapdbOptions(Section):
    """What the view can do beyond Butler's own ObsCore; Butler itself passes over this section."""

    view: str = "ivoa.ObsCore"
    """Name of the view, ``schema.name``. Several configurations in one database need several names."""

    registry_schema: str | None = None
    """Database schema of the Butler registry. By default the only one in the database."""

    repo_label: str | None = None
    """Label of the Butler repository, as in ``repo=`` of a dataset's IVOA identifier.

    By default it is taken from ``obs_publisher_did_fmt``.
    """

    geometry: Annotated[Literal["table", "none"], BeforeValidator(_as_mode)] = "table"
    """What makes the view fast.

    ``table``: narrow tables, a row for each dataset and for each region, kept by triggers on Butler's tables.
    ``none``: Butler's tables stay untouched, as on a replica; the view is slow.
    """

    find_first: tuple[str, ...] | None = None
    """Collections, in the order of search, of which the first that has a data ID provides the dataset.

    CHAINED collections are followed. Given here, it replaces ``collections`` and ``collection_type``.
    """

    columns: dict[str, ColumnValue] = Field(default_factory=dict)
    """Values for ObsCore columns that nothing else fills, such as ``publisher_id`` or ``proposal_id``.

    A constant, or a mapping with a ``template``. Unlike ``extra_columns`` these never reach Butler's own
    table.
    """

    obs_release_date: Annotated[dt.datetime | None, BeforeValidator(_as_time)] = None
    """Date or time (UTC) from which all datasets are public, for a release."""

    embargo_hours: float | None = None
    """Hours from the end of an observation (``t_max``) until it is public, for ``obs_release_date``."""

    release: ReleaseOptions | None = None
    """What is public when, and who may see the rest before."""

    presence: dict[str, PresenceRule] | None = None
    """What is stored, for ``presence`` and ``replaced_by``, by dataset type; {} for all as it is.

    Without files, ``access_url`` is NULL unless a dataset was replaced or can be made again.
    """

    datastore_tables: tuple[str, ...] | None = None
    """Tables with the datastore's file sizes, for ``access_estsize``. By default what the registry names."""

    in_place_of: dict[str, str | None] = Field(default_factory=dict)
    """What the file said of keys whose values an option of the command line gave. tapdb writes it."""


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

        Comments, layout and spelled-out defaults do not count, nor who gave a value; the order of mappings
        does: that of columns.
        """
        content = self.model_dump(mode="json", exclude=set(_NOT_IN_VIEW), exclude_defaults=True)
        options = content.pop("tapdb", {})
        options.pop("in_place_of", None)
        if options:
            # Last, as it is in the model.
            content["tapdb"] = options
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
    def has_release_dates(self) -> bool:
        """Whether the configuration says when datasets are public."""
        options = self.tapdb
        dates = (options.obs_release_date, options.embargo_hours)
        return any(one is not None for one in dates) or bool(options.release and options.release.embargo)

    @property
    def released_view(self) -> tuple[str, str] | None:
        """Schema and name, in lower case, of the view of what is released; None if there is none."""
        name = self.tapdb.release.view if self.tapdb.release is not None else None
        if name is None:
            return None
        schema, _, relation = name.lower().partition(".")
        return schema, relation

    @property
    def shown_view(self) -> tuple[str, str]:
        """Schema and name, in lower case, of the view that readers see."""
        return self.released_view or (self.view_schema, self.view_name)

    @property
    def is_restricted(self) -> bool:
        """Whether readers in general may not read the view with all rows."""
        release = self.tapdb.release
        return release is not None and (release.view is not None or bool(release.readers))

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
