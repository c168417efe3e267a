"""The columns of an ObsCore view: names, types, units, UCDs, utypes and meanings in one table.

The 60 columns of ObsCore 1.1 come first (section 4, tables 6 and 7; 30 mandatory, 30 optional), in the order
in which clients are to see them, then the columns that Rubin publishes beside the standard. The view, its
``COMMENT ON COLUMN`` and TAP_SCHEMA are all made from here, so that they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tapdb.postgres.pgsphere import SPoint, SPoly

DATASET_ID_COLUMN = "registry_dataset_id"
"""Name that Rubin's live ObsCore table gives to the UUID of a dataset."""

STANDARD_NAME = "ObsCore"
"""Name of the table in the standard, and of the view beside others."""

CALIB_LEVELS = range(5)
"""Values that ObsCore 1.1 §3.3.2 allows in ``calib_level``."""

DATAPRODUCT_TYPES = ("image", "cube", "spectrum", "sed", "timeseries", "visibility", "event", "measurements")
"""Values that ObsCore 1.1 §3.3.1 allows in ``dataproduct_type``, besides NULL."""


@dataclass(frozen=True, slots=True)
class ObsCoreColumn:
    """One column of an ObsCore table.

    Attributes
    ----------
    name
        Column name, lower case.
    sql_type
        Type in PostgreSQL.
    datatype, arraysize, xtype
        Type in VOTable and TAP_SCHEMA.
    unit
        VOUnits string, or None for a number or text without unit.
    ucd
        UCD1+ words.
    utype
        ObsCore utype with its ``obscore:`` prefix; None outside the standard.
    description
        Meaning, one sentence without a full stop.
    mandatory
        Whether ObsCore 1.1 demands the column.
    principal, std
        Flags of TAP_SCHEMA.columns: shown by default; defined by a standard.
    index
        Order in TAP_SCHEMA (``column_index``).
    nullable
        False for the four columns in which ObsCore 1.1 table 5 forbids NULL.
    """

    name: str
    sql_type: sa.types.TypeEngine[Any]
    datatype: str
    arraysize: str | None
    xtype: str | None
    unit: str | None
    ucd: str
    utype: str | None
    description: str
    mandatory: bool
    principal: bool
    std: bool
    index: int
    nullable: bool = True


_Kind = tuple[sa.types.TypeEngine[Any], str, str | None, str | None]

_TEXT: _Kind = (sa.Text(), "char", "*", None)
_INT: _Kind = (sa.Integer(), "int", None, None)
_LONG: _Kind = (sa.BigInteger(), "long", None, None)
_DOUBLE: _Kind = (sa.Double(), "double", None, None)
_DATE: _Kind = (TIMESTAMP(precision=3), "char", "*", "timestamp")
_UUID: _Kind = (sa.Uuid(), "char", "36", "uuid")
# Text in STC-S: no client or validator takes both this xtype and an array of numbers (DALI 1.1 §3.3.7).
_REGION: _Kind = (sa.Text(), "char", "*", "adql:REGION")
_SPOLY: _Kind = (SPoly("public"), "double", "*", "polygon")
_SPOINT: _Kind = (SPoint("public"), "double", "2", "point")

_NOT_NULL = frozenset({"calib_level", "obs_collection", "obs_id", "obs_publisher_did"})
_SECONDARY = frozenset(
    {
        "obs_creator_did",
        "bib_reference",
        "data_rights",
        "s_stat_error",
        "t_calib_status",
        "t_stat_error",
        "em_calib_status",
        "em_stat_error",
        "o_stat_error",
        "proposal_id",
    }
)

_Row = tuple[str, _Kind, str | None, str, str, str]

# name, kind, unit, UCD, utype without prefix, description.  One column a line, however long: it is a table.
# ruff: noqa: E501
# fmt: off
_MANDATORY: tuple[_Row, ...] = (
    ("dataproduct_type", _TEXT, None, "meta.code.class", "ObsDataset.dataProductType", "Primary type of the data product, such as image or cube"),
    ("calib_level", _INT, None, "meta.code;obs.calib", "ObsDataset.calibLevel", "Calibration level: 0 raw, 1 instrumental, 2 calibrated, 3 enhanced, 4 analysis product"),
    ("obs_collection", _TEXT, None, "meta.id", "DataID.collection", "Name of the data collection that the dataset belongs to"),
    ("obs_id", _TEXT, None, "meta.id", "DataID.observationID", "Identifier of the observation; products of one observation share it"),
    ("obs_publisher_did", _TEXT, None, "meta.ref.ivoid", "Curation.publisherDID", "IVOA identifier of the dataset, given by its publisher"),
    ("access_url", _TEXT, None, "meta.ref.url", "Access.reference", "URL from which the dataset, or a DataLink document for it, is retrieved"),
    ("access_format", _TEXT, None, "meta.code.mime", "Access.format", "Media type of what access_url returns"),
    ("access_estsize", _LONG, "kbyte", "phys.size;meta.file", "Access.size", "Estimated size of the dataset in kilobytes"),
    ("target_name", _TEXT, None, "meta.id;src", "Target.name", "Name of the object or field that was observed"),
    ("s_ra", _DOUBLE, "deg", "pos.eq.ra", "Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1", "Right ascension of the centre, ICRS"),
    ("s_dec", _DOUBLE, "deg", "pos.eq.dec", "Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C2", "Declination of the centre, ICRS"),
    ("s_fov", _DOUBLE, "deg", "phys.angSize;instr.fov", "Char.SpatialAxis.Coverage.Bounds.Extent.diameter", "Diameter of a circle that contains the covered region"),
    ("s_region", _REGION, None, "pos.outline;obs.field", "Char.SpatialAxis.Coverage.Support.Area", "Covered region of the sky, ICRS, as STC-S text"),
    ("s_resolution", _DOUBLE, "arcsec", "pos.angResolution", "Char.SpatialAxis.Resolution.Refval.value", "Spatial resolution: FWHM of the point spread function"),
    ("s_xel1", _LONG, None, "meta.number", "Char.SpatialAxis.numBins1", "Number of pixels along the first spatial axis"),
    ("s_xel2", _LONG, None, "meta.number", "Char.SpatialAxis.numBins2", "Number of pixels along the second spatial axis"),
    ("t_min", _DOUBLE, "d", "time.start;obs.exposure", "Char.TimeAxis.Coverage.Bounds.Limits.StartTime", "Start of the observation, MJD (UTC)"),
    ("t_max", _DOUBLE, "d", "time.end;obs.exposure", "Char.TimeAxis.Coverage.Bounds.Limits.StopTime", "End of the observation, MJD (UTC)"),
    ("t_exptime", _DOUBLE, "s", "time.duration;obs.exposure", "Char.TimeAxis.Coverage.Support.Extent", "Total exposure time"),
    ("t_resolution", _DOUBLE, "s", "time.resolution", "Char.TimeAxis.Resolution.Refval.value", "Temporal resolution (FWHM)"),
    ("t_xel", _LONG, None, "meta.number", "Char.TimeAxis.numBins", "Number of samples along the time axis"),
    ("em_min", _DOUBLE, "m", "em.wl;stat.min", "Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit", "Shortest wavelength covered, in vacuum"),
    ("em_max", _DOUBLE, "m", "em.wl;stat.max", "Char.SpectralAxis.Coverage.Bounds.Limits.HiLimit", "Longest wavelength covered, in vacuum"),
    ("em_res_power", _DOUBLE, None, "spect.resolution", "Char.SpectralAxis.Resolution.ResolPower.refVal", "Spectral resolving power, wavelength over resolution"),
    ("em_xel", _LONG, None, "meta.number", "Char.SpectralAxis.numBins", "Number of samples along the spectral axis"),
    ("o_ucd", _TEXT, None, "meta.ucd", "Char.ObservableAxis.ucd", "UCD of the observed quantity"),
    ("pol_states", _TEXT, None, "meta.code;phys.polarization", "Char.PolarizationAxis.stateList", "Polarization states present, as /I/Q/; NULL where polarization is not measured"),
    ("pol_xel", _LONG, None, "meta.number", "Char.PolarizationAxis.numBins", "Number of samples along the polarization axis"),
    ("facility_name", _TEXT, None, "meta.id;instr.tel", "Provenance.ObsConfig.Facility.name", "Name of the observatory or telescope"),
    ("instrument_name", _TEXT, None, "meta.id;instr", "Provenance.ObsConfig.Instrument.name", "Name of the instrument"),
)

_OPTIONAL: tuple[_Row, ...] = (
    ("dataproduct_subtype", _TEXT, None, "meta.code.class", "ObsDataset.dataProductSubtype", "Specific type of the data product; here the Butler dataset type"),
    ("target_class", _TEXT, None, "src.class", "Target.class", "Class of the observed object"),
    ("obs_creation_date", _DATE, None, "time;meta.dataset", "DataID.date", "Date when the dataset was made (UTC)"),
    ("obs_creator_name", _TEXT, None, "meta.id", "DataID.creator", "Name of the creator of the dataset"),
    ("obs_creator_did", _TEXT, None, "meta.id", "DataID.creatorDID", "IVOA identifier of the dataset, given by its creator"),
    ("obs_title", _TEXT, None, "meta.title;obs", "DataID.title", "Short description of the dataset for people to read"),
    ("publisher_id", _TEXT, None, "meta.ref.ivoid", "Curation.publisherID", "IVOA identifier of the publisher"),
    ("bib_reference", _TEXT, None, "meta.bib.bibcode", "Curation.reference", "Bibcode, DOI or URL of a publication that describes the dataset"),
    ("data_rights", _TEXT, None, "meta.code", "Curation.rights", "Who may retrieve the dataset: public, secure or proprietary"),
    ("obs_release_date", _DATE, None, "time.release", "Curation.releaseDate", "Date from which the dataset is public (UTC)"),
    ("s_ucd", _TEXT, None, "meta.ucd", "Char.SpatialAxis.ucd", "UCD of the spatial axis"),
    ("s_unit", _TEXT, None, "meta.unit", "Char.SpatialAxis.unit", "Unit of the spatial axis"),
    ("s_resolution_min", _DOUBLE, "arcsec", "pos.angResolution;stat.min", "Char.SpatialAxis.Resolution.Bounds.Limits.LoLimit", "Best spatial resolution within the dataset"),
    ("s_resolution_max", _DOUBLE, "arcsec", "pos.angResolution;stat.max", "Char.SpatialAxis.Resolution.Bounds.Limits.HiLimit", "Worst spatial resolution within the dataset"),
    ("s_pixel_scale", _DOUBLE, "arcsec", "phys.angSize;instr.pixel", "Char.SpatialAxis.Sampling.RefVal.SamplingPeriod", "Angular size of a pixel"),
    ("s_calib_status", _TEXT, None, "meta.code.qual", "Char.SpatialAxis.calibrationStatus", "State of the astrometric calibration: uncalibrated, raw or calibrated"),
    ("s_stat_error", _DOUBLE, "arcsec", "stat.error;pos.eq", "Char.SpatialAxis.Accuracy.StatError.Refval.value", "Statistical error of positions"),
    ("t_calib_status", _TEXT, None, "meta.code.qual", "Char.TimeAxis.calibrationStatus", "State of the time calibration"),
    ("t_stat_error", _DOUBLE, "s", "stat.error;time", "Char.TimeAxis.Accuracy.StatError.Refval.value", "Statistical error of times"),
    ("em_ucd", _TEXT, None, "meta.ucd", "Char.SpectralAxis.ucd", "UCD of the spectral axis"),
    ("em_unit", _TEXT, None, "meta.unit", "Char.SpectralAxis.unit", "Unit of the spectral axis"),
    ("em_calib_status", _TEXT, None, "meta.code.qual", "Char.SpectralAxis.calibrationStatus", "State of the spectral calibration"),
    ("em_res_power_min", _DOUBLE, None, "spect.resolution;stat.min", "Char.SpectralAxis.Resolution.ResolPower.LoLimit", "Lowest spectral resolving power within the dataset"),
    ("em_res_power_max", _DOUBLE, None, "spect.resolution;stat.max", "Char.SpectralAxis.Resolution.ResolPower.HiLimit", "Highest spectral resolving power within the dataset"),
    ("em_resolution", _DOUBLE, "m", "spect.resolution;stat.mean", "Char.SpectralAxis.Resolution.Refval.value", "Mean spectral resolution"),
    ("em_stat_error", _DOUBLE, "m", "stat.error;em", "Char.SpectralAxis.Accuracy.StatError.Refval.value", "Statistical error along the spectral axis"),
    ("o_unit", _TEXT, None, "meta.unit", "Char.ObservableAxis.unit", "Unit of the observed quantity"),
    ("o_calib_status", _TEXT, None, "meta.code.qual", "Char.ObservableAxis.calibrationStatus", "State of the calibration of the observed quantity: absolute, relative, normalized or any"),
    ("o_stat_error", _DOUBLE, None, "stat.error", "Char.ObservableAxis.Accuracy.StatError.Refval.value", "Statistical error of the observed quantity, in the unit of o_unit"),
    ("proposal_id", _TEXT, None, "meta.id;obs.proposal", "Provenance.Proposal.identifier", "Identifier of the proposal or programme of the observation"),
)

# Outside the standard: no utype, not principal.  The pgs_ names are those to which OpenCADC's TAP rewrites s_region.
_RUBIN: tuple[tuple[str, _Kind, str | None, str, str], ...] = (
    ("em_filter_name", _TEXT, None, "meta.id;instr.filter", "Name of the band of the filter, such as r"),
    (DATASET_ID_COLUMN, _UUID, None, "meta.id;meta.dataset", "UUID of the dataset in the Butler registry"),
    ("pgs_region", _SPOLY, "deg", "pos.outline;obs.field", "Covered region of the sky, ICRS, as pgSphere polygon for spatial search"),
    ("pgs_center", _SPOINT, "deg", "pos.eq;obs.field", "Centre of the covered region, ICRS, as pgSphere point for spatial search"),
    ("presence", _TEXT, None, "meta.code.status", "What is stored: online, replaced by another dataset, virtual (can be made again) or purged"),
    ("replaced_by", _UUID, None, "meta.id;meta.dataset", "UUID of the dataset whose file is given in place of one that was deleted"),
)
# fmt: on


def find_column(name: str) -> ObsCoreColumn | None:
    """Return the column of this name, or None if no standard or Rubin column has it."""
    return _BY_NAME.get(name)


def mandatory_columns() -> tuple[ObsCoreColumn, ...]:
    """Return the 30 columns that every ObsCore table must have (ObsCore 1.1 table 6)."""
    return tuple(column for column in OBSCORE_COLUMNS if column.mandatory)


def _standard(row: _Row, *, index: int, mandatory: bool) -> ObsCoreColumn:
    name, (sql_type, datatype, arraysize, xtype), unit, ucd, utype, description = row
    return ObsCoreColumn(
        name=name,
        sql_type=sql_type,
        datatype=datatype,
        arraysize=arraysize,
        xtype=xtype,
        unit=unit,
        ucd=ucd,
        utype=f"obscore:{utype}",
        description=description,
        mandatory=mandatory,
        principal=name not in _SECONDARY,
        std=True,
        index=index,
        nullable=name not in _NOT_NULL,
    )


def _columns() -> tuple[ObsCoreColumn, ...]:
    standard = [
        _standard(row, index=10 * position, mandatory=position <= len(_MANDATORY))
        for position, row in enumerate((*_MANDATORY, *_OPTIONAL), start=1)
    ]
    first_free = 10 * len(standard) + 10
    rubin = [
        ObsCoreColumn(
            name, *kind, unit, ucd, None, description,
            mandatory=False, principal=False, std=False, index=first_free + 10 * position,
        )
        for position, (name, kind, unit, ucd, description) in enumerate(_RUBIN)
    ]  # fmt: skip
    return (*standard, *rubin)


OBSCORE_COLUMNS: tuple[ObsCoreColumn, ...] = _columns()

_BY_NAME = {column.name: column for column in OBSCORE_COLUMNS}


def in_type_of(column: ObsCoreColumn, value: sa.ColumnElement[Any] | None) -> sa.ColumnElement[Any]:
    """Return a value in a column's type, so that no branch decides it; one cast is enough."""
    while isinstance(value, sa.Cast) and isinstance(value.type, type(column.sql_type)):
        value = value.clause
    return sa.cast(sa.null() if value is None else value, column.sql_type)


def chosen_by(
    key: sa.ColumnElement[Any], values: Mapping[Any, sa.ColumnElement[Any]]
) -> sa.ColumnElement[Any]:
    """Return the value that belongs to a key, or the value itself where it is the same for all keys.

    Parameters
    ----------
    key
        What decides, such as the name or number of the dataset type.
    values
        Expressions of one type, by key; at least one.
    """
    by_text: dict[str, list[Any]] = {}
    for name, value in values.items():
        by_text.setdefault(sql_text(value), []).append(name)
    *others, most = sorted(by_text.values(), key=len)
    if not others:
        return values[most[0]]
    cases = [(key.in_(names) if len(names) > 1 else key == names[0], values[names[0]]) for names in others]
    return sa.case(*cases, else_=values[most[0]])


# It remembers how it writes each type.
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def sql_text(expression: sa.ColumnElement[Any]) -> str:
    """Return PostgreSQL's text of an expression, constants written into it: equal for equal expressions."""
    return str(expression.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def published_name(view: str) -> str:
    """Return the name under which TAP_SCHEMA publishes a view: ``obscore`` as the standard spells it."""
    return STANDARD_NAME if view.lower() == STANDARD_NAME.lower() else view
