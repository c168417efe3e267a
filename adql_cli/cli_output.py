"""How ``tapdb query`` shows trees and rows."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import asdict
from typing import IO

from rich.console import Console
from rich.table import Table

from adql import Node
from adql.walk import children
from adql_cli.execute import Result
from adql_cli.votable import plain_value, write_votable

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
    """Write a result as a table for people, JSON, CSV or VOTable."""
    if form == "votable":
        write_votable(result, stream)
        return
    rows = [[plain_value(value) for value in row] for row in result.rows]
    names = [column.name for column in result.columns]
    text = io.StringIO()
    if form == "json":
        described = [
            {key: value for key, value in asdict(of).items() if value is not None} for of in result.columns
        ]
        json.dump({"columns": described, "rows": rows, "overflow": result.overflow}, text, indent=1)
        text.write("\n")
    elif form == "csv":
        csv.writer(text, lineterminator="\n").writerows([names, *rows])
    else:
        table = Table(*names)
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row))
        console = Console(file=text, width=max(80, 24 * len(names)) if not sys.stdout.isatty() else None)
        console.print(table)
    stream.write(text.getvalue().encode())
