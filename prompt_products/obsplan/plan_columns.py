"""The table of ObsLocTAP 1.0: 26 columns, which never are NULL, and what words they may hold.

UCDs, and utypes without a prefix, are those that taplint knows of the standard.
"""

from typing import Any

from tapdb.errors import Place
from tapdb.hooks.descriptions import ColumnDescription, SchemaDescription, StandardTable, TableDescription

SCHEMA, NAME = "ivoa", "obsplan"
_PLACE = Place("prompt_products")

CATEGORIES = ("Fixed", "Coordinated", "Window", "Other")
STATUSES = ("Planned", "Scheduled", "Unscheduled", "Performed", "Aborted")
TRACKING = ("Sidereal", "Solar-system-object-tracking", "Fixed-az-el-transit")
PRIORITIES = (0, 1, 2)
NOT_NULL = frozenset(
    {
        *("t_planning", "obs_id", "facility_name", "category", "priority", "execution_status"),
        "tracking_type",
    }
)
"""Columns that are never NULL."""

_Column = tuple[str, str, str | None, str | None, str | None, str]
# Name, datatype, unit, UCD, utype, description (ObsLocTAP 1.0 table 1); one column a line: it is a table.
# ruff: noqa: E501
# fmt: off
_COLUMNS: tuple[_Column, ...] = (
    ("t_planning", "double", "d", None, None, "When the observation was planned, or its plan changed, MJD (UTC)"),
    ("target_name", "char", None, "meta.id;src", "Target.name", "Name of the object or field"),
    ("obs_id", "char", None, "meta.id", "DataID.observationID", "Identifier of the observation"),
    ("obs_collection", "char", None, "meta.id", "DataID.collection", "Name of the data collection"),
    ("s_ra", "double", "deg", "pos.eq.ra", "Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1", "Right ascension of the centre, ICRS"),
    ("s_dec", "double", "deg", "pos.eq.dec", "Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C2", "Declination of the centre, ICRS"),
    ("s_fov", "double", "deg", "phys.angSize;instr.fov", "Char.SpatialAxis.Coverage.Bounds.Extent.diameter", "Diameter of a circle that contains the covered region"),
    ("s_region", "region", None, "pos.outline;obs.field", "Char.SpatialAxis.Coverage.Support.Area", "Covered region of the sky, ICRS, as STC-S text"),
    ("s_resolution", "double", "arcsec", "pos.angResolution", "Char.SpatialAxis.Resolution.Refval.value", "Spatial resolution: FWHM of the point spread function"),
    ("t_min", "double", "d", "time.start;obs.exposure", "Char.TimeAxis.Coverage.Bounds.Limits.StartTime", "Start of the observation, MJD (UTC)"),
    ("t_max", "double", "d", "time.end;obs.exposure", "Char.TimeAxis.Coverage.Bounds.Limits.StopTime", "End of the observation, MJD (UTC)"),
    ("t_exptime", "double", "s", "time.duration;obs.exposure", "Char.TimeAxis.Coverage.Support.Extent", "Total exposure time"),
    ("t_resolution", "double", "s", "time.resolution", "Char.TimeAxis.Resolution.Refval.value", "Temporal resolution (FWHM)"),
    ("em_min", "double", "m", "em.wl;stat.min", "Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit", "Shortest wavelength, in vacuum"),
    ("em_max", "double", "m", "em.wl;stat.max", "Char.SpectralAxis.Coverage.Bounds.Limits.HiLimit", "Longest wavelength, in vacuum"),
    ("em_res_power", "double", None, "spect.resolution", "Char.SpectralAxis.Resolution.ResolPower.refVal", "Spectral resolving power"),
    ("o_ucd", "char", None, "meta.ucd", "Char.ObservableAxis.ucd", "UCD of the observed quantity"),
    ("pol_states", "char", None, "meta.code;phys.polarization", "Char.PolarizationAxis.stateList", "Polarization states"),
    ("pol_xel", "int", None, "meta.number", "Char.PolarizationAxis.numBins", "Number of polarization states"),
    ("facility_name", "char", None, "meta.id;instr.tel", "Provenance.ObsConfig.Facility.name", "Name of the observatory or telescope"),
    ("instrument_name", "char", None, "meta.id;instr", "Provenance.ObsConfig.Instrument.name", "Name of the instrument"),
    ("t_plan_exptime", "double", "s", "time.duration;obs.exposure", "Char.TimeAxis.Coverage.Support.Extent", "Exposure time that is planned"),
    ("category", "char", None, None, None, "Fixed, Coordinated, Window or Other"),
    ("priority", "int", None, None, None, "Priority: 0, 1 or 2"),
    ("execution_status", "char", None, None, None, "Planned, Scheduled, Unscheduled, Performed or Aborted"),
    ("tracking_type", "char", None, None, None, "Sidereal, Solar-system-object-tracking or Fixed-az-el-transit"),
)
# fmt: on
NAMES = tuple(one[0] for one in _COLUMNS)
"""Names of the 26 columns."""

NUMBERS = frozenset(one[0] for one in _COLUMNS if one[1] in {"double", "int"})
"""Those with numbers."""


def _described(index: int, row: _Column) -> ColumnDescription:
    name, datatype, unit, ucd, utype, about = row
    kind: dict[str, Any] = {"datatype": datatype, "arraysize": None}
    if datatype in {"char", "region"}:
        kind = {"datatype": "char", "arraysize": "*"}
    if datatype == "region":
        kind["xtype"] = "adql:REGION"
    return ColumnDescription(
        name=name,
        **kind,
        unit=unit,
        ucd=ucd,
        utype=utype,
        description=about,
        principal=True,
        std=True,
        index=index,
        searched_by="pgs_region" if name == "s_region" else None,
        place=_PLACE,
    )


COLUMNS = tuple(_described(10 * number, row) for number, row in enumerate(_COLUMNS, start=1))

STANDARD = StandardTable(
    standard="ObsLocTAP 1.0",
    schema=SCHEMA,
    name=NAME,
    columns=COLUMNS,
    mandatory=frozenset(NAMES),
    not_null=NOT_NULL,
    values={
        "category": CATEGORIES,
        "priority": PRIORITIES,
        "execution_status": STATUSES,
        "tracking_type": TRACKING,
    },
)
"""The table that ObsLocTAP 1.0 defines."""


def description_of_plan() -> SchemaDescription:
    """Return the description of the table."""
    table = TableDescription(
        name=NAME,
        description="ObsLocTAP 1.0: observations that are planned, and those that were performed",
        utype="ivo://ivoa.net/std/obsloctap#table-1.0",
        columns=COLUMNS,
        hidden=frozenset({"pgs_region"}),
        place=_PLACE,
    )
    return SchemaDescription(name=SCHEMA, tables=(table,), place=_PLACE)
