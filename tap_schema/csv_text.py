"""One table of TAP_SCHEMA as CSV."""

from __future__ import annotations

import csv
from typing import IO, Any

from tap_schema.rows import ROW_TYPES, TapSchemaRows

__all__ = ["write_csv"]


def write_csv(rows: TapSchemaRows, table: str, file: IO[Any]) -> None:
    """Write the rows of one table with a header; what is NULL is empty.

    Parameters
    ----------
    rows
        Rows of a TAP_SCHEMA.
    table
        Name of the table, such as ``columns``.
    file
        File to write to, opened with ``newline=""``.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(ROW_TYPES[table]._fields)
    writer.writerows(rows.by_table()[table])
