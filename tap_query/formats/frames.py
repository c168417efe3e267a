"""Which columns of a result are positions or times, and the systems that they are in."""

from collections.abc import Mapping, Sequence

from adql import OutputColumn
from tapdb.votable import System

ICRS = System("COOSYS", {"ID": "icrs", "system": "ICRS"})
UTC_DAYS = System(
    "TIMESYS",
    {"ID": "utc", "timeorigin": "MJD-origin", "timescale": "UTC", "refposition": "TOPOCENTER"},
)
"""Days of ObsCore (REC-ObsCore-1.1 section 4.10)."""
_TAI_DAYS = System(
    "TIMESYS",
    {"ID": "tai", "timeorigin": "MJD-origin", "timescale": "TAI", "refposition": "TOPOCENTER"},
)
_UTC_MOMENTS = System("TIMESYS", {"ID": "utc_iso", "timescale": "UTC", "refposition": "TOPOCENTER"})

_POSITION_XTYPES = frozenset(("point", "circle", "polygon", "adql:point", "adql:circle", "adql:polygon"))
_REGION_XTYPES = frozenset(("adql:region", "region", "shape"))
_OBSCORE_DAYS = frozenset(
    f"obscore:char.timeaxis.coverage.bounds.limits.{end}time" for end in ("start", "stop")
)


def frames_of(columns: Sequence[OutputColumn]) -> tuple[tuple[System, ...], Mapping[str, str]]:
    """Return the systems that columns are in, and which one by name of the column.

    Parameters
    ----------
    columns
        Columns of a result.
    """
    found = {column.name: system for column in columns if (system := _system(column)) is not None}
    systems = {system.attributes["ID"]: system for system in found.values()}
    return tuple(systems.values()), {name: system.attributes["ID"] for name, system in found.items()}


def _system(column: OutputColumn) -> System | None:
    xtype, ucd = (column.xtype or "").lower(), (column.ucd or "").lower()
    if xtype in _POSITION_XTYPES | _REGION_XTYPES or ucd.partition(";")[0] in {"pos.eq.ra", "pos.eq.dec"}:
        return ICRS
    if xtype in {"timestamp", "adql:timestamp"}:
        return _UTC_MOMENTS
    if (column.utype or "").lower() in _OBSCORE_DAYS:
        return UTC_DAYS
    # Rubin says the scale of a time in the names of its columns.
    if column.unit == "d" and (column.column or "").strip('"').lower().endswith("mjdtai"):
        return _TAI_DAYS
    return None
