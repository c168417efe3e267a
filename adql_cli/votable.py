"""A result as VOTable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any

import numpy as np
from astropy.io.votable.tree import Field, Info, Resource, TableElement, VOTableFile

from adql import OutputColumn
from adql_cli.execute import Result

__all__ = ["plain_value", "write_votable"]

_FILL = {
    "short": 0,
    "int": 0,
    "long": 0,
    "float": np.nan,
    "double": np.nan,
    "unsignedByte": 0,
    "boolean": False,
}


def plain_value(value: Any) -> Any:
    """Return a value as DALI writes it: timestamps and UUIDs as text, all else as it is."""
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(UTC).replace(tzinfo=None)
        return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    if value is None or isinstance(value, (bool, int, float, str, list)):
        return value
    return str(value)


def write_votable(result: Result, stream: IO[bytes]) -> None:
    """Write a result as VOTable 1.4, its columns described as TAP_SCHEMA describes them.

    Parameters
    ----------
    result
        What a query returned.
    stream
        Where the XML goes.
    """
    file = VOTableFile(version="1.4")
    resource = Resource(type="results")
    file.resources.append(resource)
    resource.infos.append(Info(name="QUERY_STATUS", value="OK"))
    table = TableElement(file)
    resource.tables.append(table)
    if result.overflow:
        table.infos.append(Info(name="QUERY_STATUS", value="OVERFLOW"))
    names: dict[str, int] = {}
    table.fields.extend(_field(file, column, names) for column in result.columns)
    table.create_arrays(len(result.rows))
    for number, column in enumerate(result.columns):
        _fill(table.array, table.array.dtype.names[number], column, [row[number] for row in result.rows])
    file.to_xml(stream)


def _field(file: VOTableFile, column: OutputColumn, names: dict[str, int]) -> Field:
    names[column.name] = names.get(column.name, 0) + 1
    identifier = f"{column.name}_{names[column.name]}" if names[column.name] > 1 else None
    field = Field(
        file,
        ID=identifier,
        name=column.name,
        datatype=column.datatype,
        arraysize=column.arraysize,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
        xtype=column.xtype,
    )
    field.description = column.description
    return field


def _fill(array: Any, name: str, column: OutputColumn, values: Sequence[Any]) -> None:
    for row, value in enumerate(values):
        plain = plain_value(value)
        if plain is None:
            array.mask[name][row] = True
            array.data[name][row] = (
                _FILL.get(column.datatype, "") if column.arraysize is None else _nothing(column)
            )
        elif isinstance(plain, list):
            array.data[name][row] = np.array(plain)
        else:
            array.data[name][row] = plain


def _nothing(column: OutputColumn) -> Any:
    if column.datatype in ("char", "unicodeChar"):
        return ""
    size = column.arraysize or ""
    return np.full(int(size) if size.isdigit() else 0, np.nan)
