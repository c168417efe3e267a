"""A VOTable 1.4 file, written as its rows come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Any
from xml.etree.ElementTree import Element, SubElement, tostring
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.compute as pc

from obscore_view.exported_columns import ExportedColumn

__all__ = ["write_votable"]

_DATATYPES = {"bool": "boolean", "int32": "int", "int64": "long", "double": "double"}
_LONGEST_ROWS = 4096


def write_votable(
    file: IO[bytes], name: str, columns: Sequence[ExportedColumn], batches: Iterable[pa.RecordBatch]
) -> int:
    """Write a VOTable with TABLEDATA; return the number of rows.

    Parameters
    ----------
    file
        Where to write.
    name
        Name of the table.
    columns
        Its columns.
    batches
        Its rows.
    """
    head, tail = _frame(name, columns)
    file.write(head)
    rows = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _LONGEST_ROWS):
            part = batch.slice(start, _LONGEST_ROWS)
            cells = [_cells(values, column) for values, column in zip(part.columns, columns, strict=True)]
            lines = ("".join(("<TR>", *row, "</TR>\n")) for row in zip(*cells, strict=True))
            file.write("".join(lines).encode())
        rows += batch.num_rows
    file.write(tail)
    return rows


def _frame(name: str, columns: Sequence[ExportedColumn]) -> tuple[bytes, bytes]:
    """Return what stands before and behind the rows."""
    root = Element("VOTABLE", version="1.4", xmlns="http://www.ivoa.net/xml/VOTable/v1.3")
    resource = SubElement(root, "RESOURCE", type="results")
    # The schema of VOTable has INFO before the systems of coordinates.
    SubElement(resource, "INFO", {"name": "QUERY_STATUS", "value": "OK"})
    SubElement(resource, "COOSYS", ID="icrs", system="ICRS")
    SubElement(
        resource, "TIMESYS", ID="utc", timeorigin="MJD-origin", timescale="UTC", refposition="TOPOCENTER"
    )
    table = SubElement(resource, "TABLE", {"name": name})
    for column in columns:
        text = str(column.arrow_type) not in _DATATYPES
        facts = {
            "name": column.name,
            "datatype": "char" if text else _DATATYPES[str(column.arrow_type)],
            "arraysize": "*" if text else "",
            "unit": column.unit,
            "ucd": column.ucd,
            "utype": column.utype,
            "xtype": column.xtype,
            "ref": _system(column),
        }
        field = SubElement(table, "FIELD", {key: value for key, value in facts.items() if value})
        SubElement(field, "DESCRIPTION").text = column.description
    SubElement(SubElement(table, "DATA"), "TABLEDATA").text = "\n"
    head, mark, tail = tostring(root, encoding="utf-8", xml_declaration=True).rpartition(b"</TABLEDATA>")
    return head, mark + tail


def _system(column: ExportedColumn) -> str:
    """Return the coordinate system of a column; nothing if it has none."""
    if column.name in {"s_ra", "s_dec", "s_region"}:
        return "icrs"
    return "utc" if column.name in {"t_min", "t_max"} else ""


def _cells(values: pa.Array, column: ExportedColumn) -> list[str]:
    """Return a column's values as TD elements; NULL is an empty one."""
    if pa.types.is_timestamp(column.arrow_type):
        values = pc.strftime(values, format="%Y-%m-%dT%H:%M:%S")
    items: list[Any] = values.to_pylist()
    if pa.types.is_string(values.type):
        return ["<TD/>" if one is None else f"<TD>{escape(one)}</TD>" for one in items]
    if pa.types.is_boolean(values.type):
        return ["<TD/>" if one is None else f"<TD>{'T' if one else 'F'}</TD>" for one in items]
    return ["<TD/>" if one is None else f"<TD>{one!r}</TD>" for one in items]
