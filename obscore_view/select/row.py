"""One row of the view: every ObsCore column of the datasets of one type, as expressions."""

from typing import Any

import sqlalchemy as sa

from obscore_view.columns import DATASET_ID_COLUMN
from obscore_view.config.model import ColumnTemplate, EmbargoRule, ExtraColumnType, PresenceRule
from obscore_view.config.template import Template, parse_template
from obscore_view.errors import MappingError
from obscore_view.mapping import DatasetMapping, DatasetTypeMapping, ExtraColumn
from obscore_view.select.kept_rows import butler_table, wavelength
from obscore_view.select.relations import BranchJoins, Membership
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
        lack.
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
    found |= _stored(mapping, dataset_type, relations, row)
    if instrument is not None:
        found["instrument_name"] = instrument
    elif config.fallback_instrument is not None:
        found["instrument_name"] = sa.literal(config.fallback_instrument)
    found |= _times(mapping, relations)
    found |= _release(mapping, dataset_type, relations, found.get("t_max"))
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


def _release(
    mapping: DatasetMapping,
    dataset_type: str,
    relations: BranchJoins,
    ended: sa.ColumnElement[Any] | None,
) -> ColumnValues:
    """Return when datasets are public, and their rights now; without a date they never are."""
    config = mapping.config.tapdb
    date = _release_date(mapping, dataset_type, relations, ended)
    found: ColumnValues = {} if date is None else {"obs_release_date": date}
    if config.release is not None and (rights := config.release.data_rights) is not None:
        found["data_rights"] = (
            sa.literal(rights.before, sa.Text())
            if date is None
            else sa.case((date <= NOW, rights.after), else_=rights.before)
        )
    return found


NOW: sa.ColumnElement[Any] = sa.func.timezone("UTC", sa.func.now())
"""When a transaction began, as dates of release are written: UTC, without a zone."""


def _release_date(
    mapping: DatasetMapping,
    dataset_type: str,
    relations: BranchJoins,
    ended: sa.ColumnElement[Any] | None,
) -> sa.ColumnElement[Any] | None:
    config = mapping.config.tapdb
    if config.obs_release_date is not None:
        return sa.literal(config.obs_release_date)
    if config.embargo_hours is not None:
        return None if ended is None else _hours_after(ended, config.embargo_hours)
    cases: list[tuple[sa.ColumnElement[bool], sa.ColumnElement[Any]]] = []
    for rule in config.release.embargo if config.release is not None else ():
        conditions = _conditions(rule, dataset_type, relations)
        if conditions is None:
            continue
        date: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.DateTime())
        if rule.date is not None:
            date = sa.literal(rule.date)
        elif rule.hours is not None and ended is not None:
            date = _hours_after(ended, rule.hours)
        if not conditions:
            return sa.case(*cases, else_=date) if cases else date
        cases.append((sa.and_(*conditions), date))
    return sa.case(*cases) if cases else None


def _conditions(
    rule: EmbargoRule, dataset_type: str, relations: BranchJoins
) -> list[sa.ColumnElement[bool]] | None:
    """Return the conditions of a rule on datasets of a type; None if none of them can meet it.

    What is not known meets no condition: the next rule is for it.
    """
    if rule.dataset_type not in {None, dataset_type}:
        return None
    found = []
    if rule.instrument is not None:
        instrument = relations.dimension("instrument")
        if instrument is None:
            return None
        found.append(instrument == rule.instrument)
    if rule.observation_type is not None:
        observed = relations.record("exposure", ("observation_type",))
        if observed is None:
            return None
        found.append(observed == rule.observation_type)
    if rule.on_sky is not None:
        seen = relations.record("exposure", ("can_see_sky",))
        if seen is not None:
            found.append(seen if rule.on_sky else ~seen)
        elif not rule.on_sky or "visit" not in relations.place.group.dimensions:
            # Visits are of the sky; of coadds nobody has said.
            return None
    return found


def _hours_after(ended: sa.ColumnElement[Any], hours: float) -> sa.ColumnElement[Any]:
    return sa.func.tapdb.mjd_timestamp(ended + hours / 24)


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


def _stored(
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
