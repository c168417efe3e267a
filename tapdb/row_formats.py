"""Rows as CSV and JSON: values as `tapdb.votable` spells them."""

import json
from collections.abc import Iterable, Sequence
from typing import IO, Any

from tapdb.votable.fields import Column
from tapdb.votable.text import json_of, text_of

_FACTS = ("name", "datatype", "arraysize", "xtype", "unit", "ucd", "utype", "description")


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
    stream.write((",".join(map(_quoted, names)) + "\n").encode())
    for row in rows:
        cells = ("" if value is None else _quoted(text_of(value)) for value in row)
        stream.write((",".join(cells) + "\n").encode())


def write_json(
    columns: Sequence[Column], rows: Iterable[Sequence[Any]], stream: IO[bytes], *, overflow: bool
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
    described = [
        {fact: value for fact in _FACTS if (value := getattr(column, fact)) is not None} for column in columns
    ]
    stream.write(f'{{"columns": {_json(described)},\n"rows": ['.encode())
    separator = "\n"
    for row in rows:
        stream.write(f"{separator}{_json([json_of(value) for value in row])}".encode())
        separator = ",\n"
    stream.write(f'],\n"overflow": {_json(overflow)}}}\n'.encode())


def _json(value: Any) -> str:
    # Escapes in place of the characters themselves could not be read by people.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _quoted(text: str) -> str:
    if text and not any(character in text for character in '",\r\n'):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
