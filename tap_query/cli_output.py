"""How ``tapdb query`` shows trees and rows."""

from __future__ import annotations

from typing import IO

from adql import Node
from adql.walk import children
from tap_query.execute import Result
from tapdb.cli_rows import write_table
from tapdb.row_formats import write_csv, write_json
from tapdb.votable import Document, plain_rows, write_votable, written_fields

__all__ = ["FORMATS", "show_tree", "write_result"]

FORMATS = ("table", "json", "csv", "votable")
_LONGEST = 60


def show_tree(node: Node, depth: int = 0) -> str:
    """Return a tree as indented lines, each with the node and the ADQL that it is."""
    text = str(node)
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    lines = ["  " * depth + type(node).__name__ + "  " + shown]
    lines += (show_tree(child, depth + 1) for child in children(node))
    return "\n".join(lines)


def write_result(result: Result, form: str, stream: IO[bytes]) -> None:
    """Write a result as a table for people, JSON, CSV or VOTable.

    Raises
    ------
    ValueWriteError
        Raised if a value is not of the type that its column is published with.
    """
    rows = list(plain_rows(result.columns, result.rows))
    names = [column.name for column in result.columns]
    match form:
        case "votable":
            overflow = (("QUERY_STATUS", "OVERFLOW"),) if result.overflow else ()
            document = Document(columns=written_fields(result.columns, rows), row_count=len(rows))
            write_votable(document, rows, stream, after=lambda: overflow)
        case "json":
            write_json(result.columns, rows, stream, overflow=result.overflow)
        case "csv":
            write_csv(names, rows, stream)
        case _:
            write_table(names, rows, stream)
