"""SQL that makes the cells of a file of the columns of a query, from what they are in the database.

The types of the columns in the database decide, which PostgreSQL says of each query: what TAP_SCHEMA says of
a column is what the file has to hold. Where no SQL makes exactly what `tapdb.votable` makes of a value, rows
go through Python.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from psycopg.postgres import types

from adql.backends.postgres.pieces import call, cast, joined, quote_identifier, quote_literal
from tapdb.votable import ColumnFacts
from tapdb.votable.fields import TEXTS

_ROWS, _TEXTS = quote_identifier("packed"), quote_identifier("packed_texts")
_ELEMENT, _PLACE = quote_identifier("packed_element"), quote_identifier("packed_place")
_BITS = 8
_WORD = 64
_DOUBLE = "double precision"
_NAN = cast("'NaN'", _DOUBLE)
_NO_BYTES = cast("''", "bytea")
_NO_ELEMENTS = cast("'\\x00000000'", "bytea")
# Dimensions, flags, type, size and first index of an array as it is sent.
_ARRAY_HEAD = 20


def _oids(*names: str) -> frozenset[int]:
    return frozenset(types[name].oid for name in names)


_TEXT = _oids("text", "varchar", "bpchar", "name")
_AS_SPELLED = _oids("json", "jsonb", "uuid", "date")
_ASCII = _oids("uuid", "date", "timestamp", "timestamptz")
_TIMESTAMP, _TIMESTAMPTZ = types["timestamp"].oid, types["timestamptz"].oid
_FLOAT4, _FLOAT8, _NUMERIC = types["float4"].oid, types["float8"].oid, types["numeric"].oid
_BOOL, _BYTEA = types["bool"].oid, types["bytea"].oid
# Types of which every number fits a datatype.
_INTEGERS = {
    "short": _oids("int2"),
    "int": _oids("int2", "int4"),
    "long": _oids("int2", "int4", "int8", "oid"),
}
_INTEGER_ARRAYS = frozenset(types[name].array_oid for name in ("int2", "int4", "int8"))
_FLOAT_ARRAYS = {
    types["float4"].array_oid: "text",
    types["float8"].array_oid: None,
    types["numeric"].array_oid: _DOUBLE,
}
_BOOL_ARRAY = types["bool"].array_oid


def _rows_of(statement: str, count: int) -> str:
    """Return a query as a relation whose columns have numbers: it may have two of one name."""
    names = ", ".join(map(_name, range(1, count + 1)))
    return _clauses("(" + statement + ")", "AS", _ROWS, "(" + names + ")")


def _clauses(*parts: str) -> str:
    return " ".join(parts)


def _name(number: int) -> str:
    return quote_identifier("packed_" + str(number))


# -- text
# ----------------------------------------------------------------------------------------------------------


def csv_sql(statement: str, columns: Sequence[ColumnFacts], oids: Sequence[int]) -> str | None:
    """Return a query for the cells of CSV, spelled as `tapdb.votable.text_of` does, but for whole doubles.

    Of those PostgreSQL writes no ``.0``, and to add one would take longer than all the rest.

    Parameters
    ----------
    statement
        The query whose rows are wanted; they come in its order.
    columns
        Its columns.
    oids
        Their types in the database.

    Returns
    -------
    sql
        `None` if no SQL makes exactly these cells.
    """
    pairs = zip(columns, oids, strict=True)
    found = [_csv_cell(column, oid, _name(number)) for number, (column, oid) in enumerate(pairs, 1)]
    cells = [cell for cell in found if cell is not None]
    if len(cells) < len(found):
        return None
    return _clauses("SELECT", ", ".join(cells), "FROM", _rows_of(statement, len(cells)))


def _csv_cell(column: ColumnFacts, oid: int, name: str) -> str | None:
    if column.datatype in TEXTS:
        return _text(oid, name)
    if column.arraysize is not None:
        return _spelled_array(column, oid, name)
    if column.datatype == "boolean":
        return cast(name, "text") if oid == _BOOL else None
    if column.datatype == "double":
        return name if oid == _FLOAT8 else cast(name, _DOUBLE) if oid == _NUMERIC else None
    if column.datatype == "float":
        return name if oid == _FLOAT4 else None
    return name if oid in _INTEGERS.get(column.datatype, ()) else None


def _text(oid: int, name: str) -> str | None:
    """Return a value of a column of text as text, as `tapdb.votable.values.plain_text` does."""
    if oid in _TEXT:
        return name
    if oid in _AS_SPELLED or not _is_known(oid):
        # What psycopg has no type of Python for, it gives as PostgreSQL spells it.
        return cast(name, "text")
    if oid == _TIMESTAMPTZ:
        name = joined("AT TIME ZONE", name, "'UTC'")
    elif oid != _TIMESTAMP:
        return None
    # ISO with all digits, infinity and times before Christ too.
    return call("btrim", cast(call("to_json", name), "text"), "'\"'")


def _is_known(oid: int) -> bool:
    return types.get(oid) is not None


def _spelled_array(column: ColumnFacts, oid: int, name: str) -> str | None:
    """Return an array as words between blanks."""
    if oid == _BYTEA and column.datatype == "unsignedByte":
        numbers = call("generate_series", "0", joined("-", call("octet_length", name), "1"))
        return _words(cast(call("get_byte", name, _PLACE), "text"), _named(numbers, _PLACE), name)
    if (column.datatype == "boolean" and oid == _BOOL_ARRAY) or (
        column.datatype in _INTEGERS and oid in _INTEGER_ARRAYS
    ):
        return _words(cast(_ELEMENT, "text"), _elements(name), name)
    if column.datatype in {"float", "double"} and oid in _FLOAT_ARRAYS:
        through = _FLOAT_ARRAYS[oid]
        value = _ELEMENT if through is None else cast(_ELEMENT, through)
        return _words(_number(cast(value, _DOUBLE)), _elements(name), name)
    return None


def _elements(name: str) -> str:
    return _named(call("unnest", name) + " WITH ORDINALITY", _ELEMENT, _PLACE)


def _named(relation: str, *columns: str) -> str:
    return relation + " AS packed_array (" + ", ".join(columns) + ")"


def _words(value: str, relation: str, name: str) -> str:
    array = "ARRAY(" + _clauses("SELECT", value, "FROM", relation, "ORDER BY", _PLACE) + ")"
    return _case((name + " IS NOT NULL", call("array_to_string", array, "' '", "'null'")))


def _number(value: str) -> str:
    """Return a double as Python spells it."""
    is_whole = joined("=", value, call("trunc", value))
    size, text = call("abs", value), cast(value, "text")
    return _case(
        (joined("AND", is_whole, size + " < 1e15"), joined("||", text, "'.0'")),
        (
            joined("AND", is_whole, size + " < 1e16"),
            joined("||", cast(cast(value, "bigint"), "text"), "'.0'"),
        ),
        otherwise=text,
    )


def _case(*branches: tuple[str, str], otherwise: str = "NULL") -> str:
    whens = " ".join("WHEN " + condition + " THEN " + value for condition, value in branches)
    return "CASE " + whens + " ELSE " + otherwise + " END"


# -- BINARY2
# ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    """What one column is packed from.

    Attributes
    ----------
    sql
        SQL of its value.
    kind
        ``bytes`` if that is the cell as it stands in the row; ``text`` or ``double`` if it is a value of that
        type, which may be NULL.
    """

    sql: str
    kind: Literal["bytes", "text", "double"] = "bytes"


def binary2_sql(statement: str, columns: Sequence[ColumnFacts], oids: Sequence[int]) -> str | None:
    """Return a query for rows of BINARY2, each one ``bytea``; NULL if a text is not ASCII, or a shape wrong.

    They are what `tapdb.votable.binary2.encode_rows` writes if all text is ``char``. The client's encoding
    has to be UTF-8.

    Parameters
    ----------
    statement
        The query whose rows are wanted; they come in its order.
    columns
        Its columns.
    oids
        Their types in the database.

    Returns
    -------
    sql
        `None` if no SQL makes exactly these rows.
    """
    guards: list[str] = []
    texts: list[str] = []
    pairs = zip(columns, oids, strict=True)
    found = [
        _binary2_cell(column, oid, _name(number), guards, texts)
        for number, (column, oid) in enumerate(pairs, 1)
    ]
    cells = [cell for cell in found if cell is not None]
    if len(cells) < len(found):
        return None
    rows = _rows_of(statement, len(cells))
    if texts:
        # Astropy refuses bytes beyond ASCII in char, of which VOTable 1.4 says that there are none. To count
        # the characters of all texts at once, as bytes, takes half as long as length() of each.
        sent = call("textsend", _tree([call("coalesce", text, "''") for text in texts]))
        everything = _clauses("SELECT", _ROWS + ".*,", sent, "AS", _TEXTS, "FROM", rows, "OFFSET 0")
        rows = _clauses("(" + everything + ")", "AS", _ROWS)
        guards.append(joined("=", call("octet_length", _TEXTS), call("length", _TEXTS, "'UTF8'")))
    row = _tree([*_null_flags(len(cells)), *_runs(cells)])
    return _clauses("SELECT", _case((joined("AND", *guards), row)) if guards else row, "FROM", rows)


def _runs(cells: Sequence[_Cell]) -> Iterator[str]:
    """Yield SQL of the bytes of cells, of several of a kind that stand together by one function."""
    for kind, group in groupby(cells, lambda cell: cell.kind):
        values = [cell.sql for cell in group]
        if kind == "double":
            yield from _doubles([call("coalesce", value, _NAN) for value in values])
        elif kind == "text" and len(values) > 1:
            elements = ", ".join(call("coalesce", value, "''") for value in values)
            # Elements are sent as BINARY2 has texts, behind what says how many there are.
            yield call("substr", call("array_send", "ARRAY[" + elements + "]"), str(_ARRAY_HEAD + 1))
        elif kind == "text":
            (text,) = values
            sized = joined("||", call("int4send", call("octet_length", text)), call("textsend", text))
            yield call("coalesce", sized, _NO_ELEMENTS)
        else:
            yield from values


def _doubles(values: Sequence[str]) -> Iterator[str]:
    """Yield SQL of the bytes of doubles: a segment of a line has four of them, a point two."""
    if len(values) > 3:  # noqa: PLR2004
        ends = call("point", *values[:2]), call("point", *values[2:4])
        yield call("lseg_send", call("lseg", *ends))
        yield from _doubles(values[4:])
    elif len(values) > 1:
        yield call("point_send", call("point", *values[:2]))
        yield from _doubles(values[2:])
    elif values:
        yield call("float8send", *values)


def _null_flags(count: int) -> list[str]:
    """Return the flags of what is NULL, the first column in the highest bit of the first byte."""
    parts = []
    for first in range(0, count, _WORD):
        numbers = range(first, min(first + _WORD, count))
        size = (len(numbers) + _BITS - 1) // _BITS
        bits = [
            _case(
                (_name(number + 1) + " IS NULL", _bigint(1 << (size * _BITS - 1 - place))),
                otherwise=_bigint(0),
            )
            for place, number in enumerate(numbers)
        ]
        word = call("int8send", " | ".join(bits))
        parts.append(word if size == _WORD // _BITS else call("substr", word, str(_WORD // _BITS + 1 - size)))
    return parts


def _bigint(bits: int) -> str:
    return cast(quote_literal(str(bits - (1 << _WORD) if bits >> (_WORD - 1) else bits)), "bigint")


def _binary2_cell(
    column: ColumnFacts, oid: int, name: str, guards: list[str], texts: list[str]
) -> _Cell | None:
    if column.datatype in TEXTS:
        return _binary2_text(column, oid, name, texts)
    if column.arraysize is not None:
        array = _binary2_array(column, oid, name, guards)
        return None if array is None else _Cell(array)
    if column.datatype == "boolean" and oid == _BOOL:
        true, false, neither = (cast(word, "bytea") for word in ("'T'", "'F'", "'\\x00'"))
        return _Cell(_case((name, true), ("NOT " + name, false), otherwise=neither))
    if column.datatype in _INTEGERS and oid in _INTEGERS[column.datatype]:
        function, type_, own = _INTEGER_SEND[column.datatype]
        # A cast that is not needed would hide that the table has changed since the types were read.
        value = name if oid == own else cast(name, type_)
        return _Cell(call(function, call("coalesce", value, cast("0", type_))))
    if column.datatype == "float" and oid == _FLOAT4:
        return _Cell(call("float4send", call("coalesce", name, cast("'NaN'", "real"))))
    return _Cell(name, "double") if column.datatype == "double" and oid == _FLOAT8 else None


_INTEGER_SEND = {
    "short": ("int2send", "smallint", types["int2"].oid),
    "int": ("int4send", "integer", types["int4"].oid),
    "long": ("int8send", "bigint", types["int8"].oid),
}


def _binary2_text(column: ColumnFacts, oid: int, name: str, texts: list[str]) -> _Cell | None:
    text = _text(oid, name)
    if text is None or column.datatype == "unicodeChar":
        # PostgreSQL has no UTF-16.
        return None
    if oid == types["bpchar"].oid:
        # A cast would take the blanks at its end away.
        text = call("concat", text)
    elif oid != types["text"].oid:
        text = cast(text, "text")
    if oid not in _ASCII:
        texts.append(text)
    return _Cell(text, "text")


def _binary2_array(column: ColumnFacts, oid: int, name: str, guards: list[str]) -> str | None:
    size = column.arraysize or ""
    if column.datatype == "unsignedByte" and size == "*" and oid == _BYTEA:
        sized = joined("||", call("int4send", call("octet_length", name)), name)
        return call("coalesce", sized, _NO_ELEMENTS)
    if column.datatype != "double" or oid != types["float8"].array_oid or not (size == "*" or size.isdigit()):
        return None
    one = call("float8send", call("coalesce", _ELEMENT, _NAN))
    joined_up = call("string_agg", one, _NO_BYTES + " ORDER BY " + _PLACE)
    elements = "(" + _clauses("SELECT", joined_up, "FROM", _elements(name)) + ")"
    is_flat = joined("=", call("coalesce", call("array_ndims", name), "1"), "1")
    length = call("cardinality", name)
    if size == "*":
        guards.append(is_flat)
        counted = call("int4send", call("coalesce", length, "0"))
        return joined("||", counted, call("coalesce", elements, _NO_BYTES))
    guards += (is_flat, joined("=", call("coalesce", length, size), size))
    return call("coalesce", elements, call("decode", call("repeat", "'7ff8000000000000'", size), "'hex'"))


def _tree(parts: Sequence[str]) -> str:
    """Return parts one behind the other; as a tree, each byte is copied few times."""
    if len(parts) == 1:
        return parts[0]
    middle = (len(parts) + 1) // 2
    return joined("||", _tree(parts[:middle]), _tree(parts[middle:]))
