"""Write ObsCore rows as a VOTable, with units, UCDs and utypes from the one table of columns."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import votable
from astropy.io.votable.tree import CooSys, Field, Info, Resource, TableElement, TimeSys, VOTableFile
from astropy.table import Table

from obscore_view.columns import ObsCoreColumn, find_column

from .ask import Answer

__all__ = ["read_back", "write_votable"]

_SPACE, _TIME = "icrs", "utc"
_SYSTEMS = {"s_ra": _SPACE, "s_dec": _SPACE, "s_region": _SPACE, "t_min": _TIME, "t_max": _TIME}


def write_votable(answer: Answer, path: Path) -> None:
    """Write the standard columns of an answer as VOTable 1.4 (BINARY2) with coordinate and time systems."""
    wanted = [(name, column) for name in answer.columns if (column := _published(name)) is not None]
    document = VOTableFile(version="1.4")
    resource = Resource(type="results")
    document.resources.append(resource)
    resource.infos.append(Info(name="QUERY_STATUS", value="OK"))
    resource.coordinate_systems.append(CooSys(ID=_SPACE, system="ICRS"))
    # astropy warns of TIMESYS unless it is told that VOTable 1.4 knows it.
    since_1_4 = {"version_1_4_or_later": True}
    resource.time_systems.append(
        TimeSys(
            ID=_TIME, timeorigin="MJD-origin", timescale="UTC", refposition="TOPOCENTER", config=since_1_4
        )
    )
    table = TableElement(document, name="ObsCore")
    resource.tables.append(table)
    table.fields.extend(_field(document, column) for _, column in wanted)
    table.create_arrays(len(answer.rows))
    for name, column in wanted:
        values = [_plain(value, column) for value in answer.column(name)]
        table.array[name] = np.ma.masked_array(
            values, mask=[value is None for value in answer.column(name)], dtype=table.array[name].dtype
        )
    table.format = "binary2"
    document.to_xml(str(path))


def read_back(path: Path) -> Table:
    """Return the only table of a file, after astropy has checked it against the standard.

    Raises
    ------
    astropy.io.votable.exceptions.VOTableSpecWarning
        Raised if the file breaks a rule of VOTable.
    """
    report = io.StringIO()
    assert votable.validate(str(path), output=report, xmllint=False), report.getvalue()
    return votable.parse(str(path), verify="exception").get_first_table().to_table()


def _published(name: str) -> ObsCoreColumn | None:
    """Return the description of a standard column; pgSphere's types have none in VOTable."""
    column = find_column(name)
    return None if column is None or name.startswith("pgs_") else column


def _field(document: VOTableFile, column: ObsCoreColumn) -> Field:
    field = Field(
        document,
        name=column.name,
        ID=column.name,
        datatype=column.datatype,
        arraysize=column.arraysize,
        xtype=column.xtype,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
        ref=_SYSTEMS.get(column.name),
    )
    field.description = column.description
    return field


def _plain(value: Any, column: ObsCoreColumn) -> Any:
    """Return a value as numpy takes it; NULL becomes anything, since it is masked."""
    if value is None:
        return "" if column.datatype in ("char", "unicodeChar") else 0
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="milliseconds")
    return str(value) if isinstance(value, uuid.UUID) else value
