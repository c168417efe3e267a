"""One row of the view: every ObsCore column of the datasets of one type, as expressions."""

from typing import Any

import sqlalchemy as sa

from obscore_view.columns import DATASET_ID_COLUMN
from obscore_view.config.model import ColumnTemplate, ExtraColumnType
from obscore_view.config.template import Template, parse_template
from obscore_view.errors import MappingError
from obscore_view.mapping import DatasetMapping, DatasetTypeMapping, ExtraColumn
from obscore_view.select.kept_rows import wavelength
from obscore_view.select.relations import BranchJoins, Membership
from obscore_view.select.release_dates import release
from obscore_view.select.stored_files import stored
from obscore_view.select.text import ColumnValues, field_value, missing_reference, template_text

_SQL_TYPES: dict[ExtraColumnType, sa.types.TypeEngine[Any]] = {
    ExtraColumnType.bool: sa.Boolean(),
    ExtraColumnType.int: sa.BigInteger(),
    ExtraColumnType.float: sa.Double(),
    ExtraColumnType.string: sa.Text(),
}
OUTLINE = "outline"
"""Name of the column with the vertices of ``s_region``, without what is the same for all."""


def dataset_row(
    mapping: DatasetMapping,
    dataset_type: DatasetTypeMapping,
    relations: BranchJoins,
    member: Membership,
    constants: ColumnValues,
) -> ColumnValues:
    """Return the expression of each column that is not NULL; `OUTLINE` stands for ``s_region``.

    Parameters
    ----------
    mapping, dataset_type
        What the columns are to say.
    relations
        Where the datasets are; what the columns need is joined.
    member
        What is known of a dataset from being published.
    constants
        ObsCore columns that are the same for all datasets of the type.

    Raises
    ------
    MappingError
        Raised if ``obs_id``, ``access_url`` or ``obs_publisher_did`` refer to something that the datasets
        lack, or the files of a dataset type with other dimensions are to replace theirs.
    """
    values = constants | {
        "id": relations.dataset_id,
        "run": member.run,
        "dataset_type": member.dataset_type,
    }
    known = values | _absent(dataset_type)
    row = values | _named(dataset_type, relations, known)
    row |= _extra(dataset_type, relations, known)
    row |= _from_registry(mapping, dataset_type.name, relations, row)
    for name, value in mapping.config.tapdb.columns.items():
        if name not in row:
            filled = parse_template(value.template) if isinstance(value, ColumnTemplate) else value
            if (made := _value(ExtraColumn(filled, None), relations, known)) is not None:
                row[name] = made
    return row


def _absent(dataset_type: DatasetTypeMapping) -> ColumnValues:
    """Return constants that the configuration leaves out, as Python writes them in a format string.

    The numbers of pixels are not among them: without them they are no key at all.
    """
    return {
        name: sa.literal("None")
        for name, value in dataset_type.constants.items()
        if value is None and not name.startswith("s_xel")
    }


def _named(dataset_type: DatasetTypeMapping, relations: BranchJoins, values: ColumnValues) -> ColumnValues:
    """Return obs_id, access_url and obs_publisher_did; the first is known to the others."""
    row: ColumnValues = {}
    for column in ("obs_id", "access_url", "obs_publisher_did"):
        template: Template | None = getattr(dataset_type, column)
        if template is None:
            continue
        text = template_text(template, relations, values)
        if text is None:
            raise MappingError(
                f"dataset_types.{dataset_type.name}",
                f'{column} "{template.text}" refers to {missing_reference(template, relations, values)}, '
                f"which datasets with dimensions {', '.join(relations.place.group.required)} lack",
                "take it out of the format string",
            )
        row[column] = text
        if column == "obs_id":
            values["obs_id"] = text
    return row


def _extra(dataset_type: DatasetTypeMapping, relations: BranchJoins, values: ColumnValues) -> ColumnValues:
    """Return the extra columns but those whose format strings refer to something that the datasets lack."""
    made = {name: _value(column, relations, values) for name, column in dataset_type.extra_columns.items()}
    return {name: value for name, value in made.items() if value is not None}


def _value(column: ExtraColumn, relations: BranchJoins, values: ColumnValues) -> sa.ColumnElement[Any] | None:
    if not isinstance(column.value, Template):
        return sa.literal(column.value)
    template = column.value
    wanted = _SQL_TYPES[column.type or ExtraColumnType.string]
    if not isinstance(wanted, sa.Text) and len(template.references) == 1 and len(template.parts) == 1:
        (part,) = template.parts
        # A number that is only formatted to be read again need not become text.
        if not hasattr(part, "text") and part.spec is None:
            value = field_value(part, relations, values)
            if value is not None and isinstance(value.type, sa.Integer | sa.Double):
                return value != 0 if isinstance(wanted, sa.Boolean) else sa.cast(value, wanted)
    text = template_text(template, relations, values)
    if text is None or isinstance(wanted, sa.Text):
        return text
    # int("None") would stop Butler's ingest; here it is NULL.
    number = sa.func.nullif(text, "None")
    if isinstance(wanted, sa.Boolean):
        return sa.cast(number, sa.Integer()) != 0
    return sa.cast(number, wanted)


def _from_registry(
    mapping: DatasetMapping, dataset_type: str, relations: BranchJoins, row: ColumnValues
) -> ColumnValues:
    """Return the columns that the registry itself decides; the configuration cannot change them."""
    instrument = relations.dimension("instrument")
    config = mapping.config
    found: ColumnValues = {
        DATASET_ID_COLUMN: relations.dataset_id,
        "facility_name": _facility(mapping, instrument),
    }
    found |= stored(mapping, dataset_type, relations, row)
    if instrument is not None:
        found["instrument_name"] = instrument
    elif config.fallback_instrument is not None:
        found["instrument_name"] = sa.literal(config.fallback_instrument)
    found |= _times(mapping, relations)
    found |= release(mapping, dataset_type, relations, found.get("t_max"))
    found |= _wavelengths(mapping, relations)
    found |= _place_on_sky(mapping, relations)
    for name in ("t_min", "t_max", "em_min", "em_max"):
        if name in found and name in row:
            found[name] = sa.func.coalesce(found[name], row[name])
    return found


def _facility(mapping: DatasetMapping, instrument: sa.ColumnElement[Any] | None) -> sa.ColumnElement[Any]:
    config = mapping.config
    if instrument is None:
        return sa.literal(config.facility_map.get(config.fallback_instrument or "", config.facility_name))
    if set(config.facility_map.values()) <= {config.facility_name}:
        return sa.literal(config.facility_name)
    return sa.case(dict(config.facility_map), value=instrument, else_=config.facility_name)


def _times(mapping: DatasetMapping, relations: BranchJoins) -> ColumnValues:
    observation = relations.observation()
    found: ColumnValues = {}
    element = relations.place.group.timespan_element
    if observation is not None:
        found = {"target_name": observation.c.target_name, "t_exptime": observation.c.exposure_time}
        found |= {name: observation.c[name] for name in ("t_min", "t_max")}
    elif element is not None and mapping.registry.has_column(element, "timespan"):
        for name, bound in (("t_min", "begin"), ("t_max", "end")):
            if (value := relations.record(element, ("timespan", bound, "utc", "mjd"))) is not None:
                found[name] = value
    return found


def _wavelengths(mapping: DatasetMapping, relations: BranchJoins) -> ColumnValues:
    band = relations.dimension("band")
    if band is None:
        return {}
    observation = relations.observation()
    found: ColumnValues = {"em_filter_name": band}
    if observation is not None:
        return found | {name: observation.c[name] for name in ("em_min", "em_max")}
    physical_filter = relations.dimension("physical_filter")
    for number, name in enumerate(("em_min", "em_max")):
        found[name] = wavelength(mapping, number, physical_filter, band)
    return found


def _place_on_sky(mapping: DatasetMapping, relations: BranchJoins) -> ColumnValues:
    footprint = relations.footprint()
    if footprint is None:
        return {}
    region, _ = mapping.config.pgsphere_columns
    return {
        "s_ra": footprint.c.s_ra,
        "s_dec": footprint.c.s_dec,
        "s_fov": footprint.c.s_fov,
        OUTLINE: footprint.c.outline,
        region: footprint.c.pgs_region,
    }
