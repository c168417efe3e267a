"""The one spelling of a value in every format that is text, which PostgreSQL and DALI read; CSV and JSON."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Any

from tapdb.errors import ValueReadError
from tapdb.votable.fields import ColumnFacts, field_identifiers

_FACTS = ("name", "datatype", "arraysize", "xtype", "unit", "ucd", "utype", "description")


def text_of(value: Any) -> str:
    """Return a plain value as text.

    Numbers have all digits. Elements of arrays stand apart by blanks, as DALI wants it.

    Parameters
    ----------
    value
        A plain value; `None` within an array is ``null``, and as a value empty.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, bytes)):
        return " ".join(["null" if element is None else text_of(element) for element in value])
    return str(value)


def json_of(value: Any) -> Any:
    """Return a plain value as JSON has it: what is no number there (RFC 8259 section 6) is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, bytes)):
        return [json_of(element) for element in value]
    return value


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def write_csv(names: Iterable[str], rows: Iterable[Sequence[Any]], stream: IO[bytes]) -> None:
    """Write rows of plain values as CSV (RFC 4180): NULL is nothing, an empty text is ``""``.

    Parameters
    ----------
    names
        Names of the columns.
    rows
        The rows.
    stream
        Where the text goes, UTF-8.
    """
    for part in csv_parts(names, rows):
        stream.write(part)


def csv_parts(
    names: Iterable[str], rows: Iterable[Sequence[Any]], *, separator: str = ","
) -> Iterator[bytes]:
    """Yield what `write_csv` writes, the names first; a cell is quoted if it holds the separator.

    Parameters
    ----------
    names, rows
        As for `write_csv`.
    separator
        What stands between two cells.
    """
    special = re.compile(f'["\r\n{separator}]')
    for row in chain((tuple(names),), rows):
        cells = ["" if value is None else _quoted(text_of(value), special) for value in row]
        yield (separator.join(cells) + "\n").encode()


def read_csv(
    lines: Iterable[str], *, separator: str = ",", most_cells: int | None = None
) -> Iterator[list[str | None]]:
    """Yield the cells of each row of CSV, the first with the names: the inverse of `write_csv`.

    Parameters
    ----------
    lines
        Lines with their ends, as of a file opened with ``newline=""``.
    separator
        As for `csv_parts`.
    most_cells
        How many cells a row may have.

    Raises
    ------
    ValueReadError
        A line is no CSV, or has more cells.
    """
    form = re.compile(f'(?:^|{separator})(?:"((?:[^"]|"")*)"|([^"{separator}\r\n]*))')
    parts: list[str] = []
    is_open = False
    for line in lines:
        parts.append(line)
        is_open ^= bool(line.count('"') % 2)
        if is_open:
            # A text goes on in the next line.
            continue
        row = "".join(parts).removesuffix("\n").removesuffix("\r")
        parts = []
        cells = list(islice(form.finditer(row), None if most_cells is None else most_cells + 1))
        if most_cells is not None and len(cells) > most_cells:
            raise ValueReadError("a row", f"it has more than {most_cells} cells")
        if "".join(cell[0] for cell in cells) != row:
            raise ValueReadError("a row", f"{row[:60]!r} is no CSV")
        yield [cell[2] or None if cell[1] is None else cell[1].replace('""', '"') for cell in cells]
    if parts:
        raise ValueReadError("a row", f"{''.join(parts)[:60]!r} is no CSV: its text does not end")


def json_columns(columns: Sequence[ColumnFacts]) -> list[dict[str, str]]:
    """Return what JSON says of columns."""
    return [
        {fact: value for fact in _FACTS if (value := getattr(column, fact)) is not None}
        | ({} if identifier is None else {"id": identifier})
        for column, identifier in zip(columns, field_identifiers(columns), strict=True)
    ]


def write_json(
    columns: Sequence[ColumnFacts], rows: Iterable[Sequence[Any]], stream: IO[bytes], *, overflow: bool
) -> None:
    """Write rows of plain values and what their columns are as one JSON object, a row a line.

    Parameters
    ----------
    columns
        The columns.
    rows
        The rows.
    stream
        Where the text goes, UTF-8.
    overflow
        Whether there are more rows.
    """
    for part in json_parts(columns, rows, lambda: {"overflow": overflow}):
        stream.write(part)


def json_parts(
    columns: Sequence[ColumnFacts], rows: Iterable[Sequence[Any]], after: Callable[[], Mapping[str, Any]]
) -> Iterator[bytes]:
    """Yield the object of `write_json` in parts: what stands before the rows, each row, the rest.

    Parameters
    ----------
    columns, rows
        As for `write_json`.
    after
        Called once all rows are written, for what stands behind them.
    """
    yield f'{{"columns": {_json(json_columns(columns))},\n"rows": ['.encode()
    separator = "\n"
    for row in rows:
        yield f"{separator}{_json([json_of(value) for value in row])}".encode()
        separator = ",\n"
    rest = "".join(f",\n{_json(name)}: {_json(value)}" for name, value in after().items())
    yield f"]{rest}}}\n".encode()


def _json(value: Any) -> str:
    # Escapes in place of the characters themselves could not be read by people.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _quoted(text: str, special: re.Pattern[str]) -> str:
    if text and not special.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
