"""The dataset-type mapping: what each dataset type is in ObsCore's words, and where its datasets are.

This is the table that a human reviews: `obscore_view.view.make` stores it as
``tapdb.dataset_type_mapping``, and `obscore_view.select.statement` turns it into the view.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from obscore_view.config.model import Constant, ExtraColumnConfig, ExtraColumnType, ObsCoreConfig, WhereBind
from obscore_view.config.template import DimensionKey, RecordField, Reference, Template, parse_template
from obscore_view.registry.snapshot import DimensionGroup, Registry

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DatasetPlace:
    """A tags table in which datasets of a type are, or would be once it is registered."""

    tags_table: str
    group: DimensionGroup


@dataclass(frozen=True, slots=True)
class ExtraColumn:
    """The value of a column beside those that the registry itself fills.

    Attributes
    ----------
    value
        A constant, or a format string.
    type
        Type that the configuration gives; None if that of ObsCore's column of the same name holds.
    """

    value: Constant | Template
    type: ExtraColumnType | None


@dataclass(frozen=True, slots=True)
class DatasetTypeMapping:
    """What one dataset type is in ObsCore's words.

    Attributes
    ----------
    name
        Dataset type.
    registered
        Whether the registry knows it.
    places
        Its tags table. A dataset type that is not registered has all those of a dimension group that its
        format strings could be filled from, so that its datasets appear as soon as there are any.
    constants
        Values of ObsCore columns that are the same for all its datasets.
    obs_id, access_url, obs_publisher_did
        Format strings.
    extra_columns
        Values of further columns.
    constraints
        Restrictions on the datasets, one of which each has to meet; () for none.
    """

    name: str
    registered: bool
    places: tuple[DatasetPlace, ...]
    constants: Mapping[str, str | int | None]
    obs_id: Template | None
    access_url: Template | None
    obs_publisher_did: Template | None
    extra_columns: Mapping[str, ExtraColumn]
    constraints: tuple[WhereBind, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """All that its format strings refer to, each once."""
        templates = [self.obs_id, self.access_url, self.obs_publisher_did]
        templates += [one.value for one in self.extra_columns.values() if isinstance(one.value, Template)]
        return tuple(dict.fromkeys(ref for one in templates if one is not None for ref in one.references))


@dataclass(frozen=True, slots=True, eq=False)
class DatasetMapping:
    """A configuration matched with a registry: all that a view is made from.

    Each equals itself only: to Python the constants 1 and true are equal, and columns of them are not.

    Attributes
    ----------
    config, registry
        The configuration, and what the registry is like.
    dataset_types
        The configured dataset types.
    kept
        What begins the names of the kept tables; by default the name of the view does.
    """

    config: ObsCoreConfig
    registry: Registry
    dataset_types: tuple[DatasetTypeMapping, ...]
    kept: str = ""

    @property
    def record_fields(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """Fields of dimension records that format strings and rules of release need, by element."""
        found: dict[str, dict[tuple[str, ...], None]] = {}
        for dataset_type in self.dataset_types:
            for reference in dataset_type.references:
                if isinstance(reference, RecordField):
                    found.setdefault(reference.element, {})[reference.path] = None
        release = self.config.tapdb.release
        for rule in release.embargo if release is not None else ():
            for value, name in ((rule.observation_type, "observation_type"), (rule.on_sky, "can_see_sky")):
                if value is not None:
                    found.setdefault("exposure", {})[name,] = None
        return {element: tuple(paths) for element, paths in found.items()}


def build_mapping(config: ObsCoreConfig, registry: Registry) -> DatasetMapping:
    """Return the configured dataset types with the tables of the registry that hold them.

    A dataset type that is not registered is kept, with a warning in the log: its datasets appear by
    themselves once it is registered in a dimension group that the registry has already.
    """
    mapping = match_mapping(config, registry)
    for places, rest in (
        (True, ""),
        (False, ", and none of the registry's dimension groups fits: refresh the view then"),
    ):
        names = [
            one.name for one in mapping.dataset_types if not one.registered and bool(one.places) == places
        ]
        if names:
            one = len(names) == 1
            _LOG.warning(
                "dataset type%s %s %s configured and not registered in %s: no rows until then%s",
                "" if one else "s",
                ", ".join(names),
                "is" if one else "are",
                registry.schema,
                rest,
            )
    return mapping


def match_mapping(config: ObsCoreConfig, registry: Registry) -> DatasetMapping:
    """Return the same as `build_mapping`, and log nothing."""
    return DatasetMapping(
        config, registry, tuple(_map(name, config, registry) for name in config.dataset_types)
    )


def _map(name: str, config: ObsCoreConfig, registry: Registry) -> DatasetTypeMapping:
    section = config.dataset_types[name]
    registered = registry.dataset_types.get(name)
    s_xel = section.s_xel or (None, None)
    extra = {
        column: ExtraColumn(parse_template(value.template), value.type)
        if isinstance(value, ExtraColumnConfig)
        else ExtraColumn(value, _type_of(value))
        for column, value in config.extra_columns_of(name).items()
    }
    dataset_type = DatasetTypeMapping(
        name=name,
        registered=registered is not None,
        places=(),
        constants={
            "dataproduct_type": section.dataproduct_type,
            "dataproduct_subtype": section.dataproduct_subtype,
            "calib_level": section.calib_level,
            "o_ucd": section.o_ucd,
            "access_format": section.access_format,
            "obs_collection": config.obs_collection
            if section.obs_collection is None
            else section.obs_collection,
            "s_xel1": s_xel[0],
            "s_xel2": s_xel[1],
        },
        obs_id=_template(section.obs_id_fmt),
        access_url=_template(section.datalink_url_fmt),
        obs_publisher_did=_template(config.obs_publisher_did_fmt),
        extra_columns=extra,
        constraints=config.constraints_of(name),
    )
    if registered is not None:
        places: tuple[DatasetPlace, ...] = (
            DatasetPlace(registered.tags_table, registry.universe.conform(registered.required)),
        )
    else:
        places = _candidates(dataset_type, registry)
    return replace(dataset_type, places=places)


def _candidates(dataset_type: DatasetTypeMapping, registry: Registry) -> tuple[DatasetPlace, ...]:
    """Return the tags tables whose dimensions can fill the format strings that may not fail."""
    needed: dict[Reference, None] = {}
    for template in (dataset_type.obs_id, dataset_type.access_url, dataset_type.obs_publisher_did):
        needed |= dict.fromkeys(template.references if template is not None else ())
    return tuple(
        DatasetPlace(table, group)
        for table, group in registry.groups.items()
        if all(_has(group, reference, registry) for reference in needed)
    )


def _has(group: DimensionGroup, reference: Reference, registry: Registry) -> bool:
    match reference:
        case DimensionKey(name):
            # Butler lets {visit} stand for the exposure where there is no visit, but has no record of it.
            return name in group.dimensions or (name == "visit" and "exposure" in group.dimensions)
        case RecordField(element):
            found = registry.universe.elements.get(element)
            return found is not None and group.dimensions.issuperset(found.required)
        case _:
            return True


def _template(text: str | None) -> Template | None:
    return None if text is None else parse_template(text)


def _type_of(value: Constant) -> ExtraColumnType:
    if isinstance(value, bool):
        return ExtraColumnType.bool
    if isinstance(value, int):
        return ExtraColumnType.int
    return ExtraColumnType.float if isinstance(value, float) else ExtraColumnType.string
