"""TAP_SCHEMA in files: VOSI tables and Felis, each streamed."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import yaml

from adql.names import split_name
from tap_schema.rows import ColumnRow, KeyColumnRow, KeyRow, TableRow, TapSchemaRows

_NUMBERS = {
    "boolean": "boolean",
    "unsignedByte": "byte",
    "short": "short",
    "int": "int",
    "long": "long",
    "float": "float",
    "double": "double",
}
_UNBOUNDED = 2**30
"""Length of what has none, for types that want one."""


def felis_text(rows: TapSchemaRows, schema: str) -> str:
    """Return one published schema as a Felis file.

    Types are Felis' own where it has them. A geometry, and text of a kind that Felis does not know, is text
    or numbers with the VOTable type beside it.

    Parameters
    ----------
    rows
        Rows of a TAP_SCHEMA.
    schema
        Published name of the schema.

    Raises
    ------
    LookupError
        Raised if there is no such schema.
    """
    found = next((row for row in rows.schemas if row.schema_name == schema), None)
    if found is None:
        raise LookupError(
            f"there is no schema {schema}; there are {', '.join(r.schema_name for r in rows.schemas)}"
        )
    columns = rows.columns_by_table()
    keys = _keys(rows)
    document = _given(
        {
            "name": split_name(schema)[-1],
            "description": found.description,
            "votable:utype": found.utype,
        }
    )
    document["tables"] = [
        _table(row, columns[row.table_name], keys.get(row.table_name, []))
        for row in rows.tables
        if row.schema_name == schema
    ]
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{text}"


def _table(row: TableRow, columns: list[ColumnRow], keys: list[dict[str, Any]]) -> dict[str, Any]:
    table = _given(
        {
            "name": split_name(row.table_name)[-1],
            "description": row.description,
            "votable:utype": row.utype,
            "tap:table_index": row.table_index,
        }
    )
    table["columns"] = [_column(column) for column in columns]
    if keys:
        table["constraints"] = keys
    return table


def _column(row: ColumnRow) -> dict[str, Any]:
    datatype, length, exact = _felis_type(row)
    return _given(
        {
            "name": split_name(row.column_name)[-1],
            "datatype": datatype,
            "length": length,
            "description": row.description,
            "ivoa:unit": row.unit,
            "ivoa:ucd": row.ucd,
            "votable:utype": row.utype,
            "votable:datatype": None if exact else row.datatype,
            "votable:arraysize": None if exact else row.arraysize,
            "votable:xtype": None if row.xtype == "timestamp" and datatype == "timestamp" else row.xtype,
            "tap:principal": row.principal or None,
            "tap:std": row.std or None,
            "tap:column_index": row.column_index,
        }
    )


def _felis_type(row: ColumnRow) -> tuple[str, int | None, bool]:
    """Return the datatype and length in Felis, and whether these say all about the type in VOTable."""
    size = row.arraysize
    if row.datatype in _NUMBERS and size is None:
        return _NUMBERS[row.datatype], None, True
    if row.xtype == "timestamp":
        return "timestamp", None, size == "*"
    if row.datatype in {"char", "unicodeChar"}:
        return _text_type(row.datatype, size)
    if row.datatype == "unsignedByte":
        return "binary", _UNBOUNDED, False
    # An array of numbers, such as a polygon, is text to Felis.
    return "text", None, False


def _text_type(datatype: str, size: str | None) -> tuple[str, int | None, bool]:
    length = 1 if size is None else None if size == "*" else int(size.rstrip("*"))
    if datatype == "unicodeChar":
        return "unicode", _UNBOUNDED if length is None else length, length is not None
    if length is None:
        return "text", None, True
    return ("string" if size is not None and size.endswith("*") else "char"), length, True


def _keys(rows: TapSchemaRows) -> dict[str, list[dict[str, Any]]]:
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in rows.key_columns:
        pairs.setdefault(row.key_id, []).append((row.from_column, row.target_column))
    # In Felis a name is that of one constraint of the schema; in PostgreSQL of one of the table.
    count = Counter((split_name(key.from_table)[0], _name(key)) for key in rows.keys)
    found: dict[str, list[dict[str, Any]]] = {}
    for key in rows.keys:
        own, other = split_name(key.from_table), split_name(key.target_table)
        is_unique = count[own[0], _name(key)] == 1
        if own[0] != other[0]:
            # Felis knows no key from one schema to another.
            continue
        found.setdefault(key.from_table, []).append(
            _given(
                {
                    "name": _name(key) if is_unique else f"{own[-1]}.{_name(key)}",
                    "@type": "ForeignKey",
                    "description": key.description,
                    "votable:utype": key.utype,
                    "columns": [_identifier(own[-1], column) for column, _ in pairs.get(key.key_id, ())],
                    "referencedColumns": [
                        _identifier(other[-1], column) for _, column in pairs.get(key.key_id, ())
                    ],
                }
            )
        )
    return found


def _name(key: KeyRow) -> str:
    return key.key_id.removeprefix(f"{key.from_table}.")


def _identifier(table: str, column: str) -> str:
    return f"#{table}.{split_name(column)[-1]}"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACES = (
    ' xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0"'
    ' xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_HEAD = f"{_XML}<vosi:tableset{_NAMESPACES}>\n"
_TAIL = "</vosi:tableset>\n"
_FLAGS = ("principal", "indexed")


def vosi_tables(rows: TapSchemaRows, *, detail: bool = True) -> Iterator[str]:
    """Yield the document in pieces, a table each.

    Parameters
    ----------
    rows
        Rows of a TAP_SCHEMA, columns in order.
    detail
        Whether columns and foreign keys are in it, as ``detail=max`` of VOSI 1.1 asks.
    """
    columns = rows.columns_by_table()
    key_columns: dict[str, list[KeyColumnRow]] = {}
    for pair in rows.key_columns:
        key_columns.setdefault(pair.key_id, []).append(pair)
    keys: dict[str, list[KeyRow]] = {}
    for key in rows.keys:
        keys.setdefault(key.from_table, []).append(key)
    by_schema = {
        name: list(tables)
        for name, tables in groupby(
            sorted(rows.tables, key=attrgetter("schema_name")), key=attrgetter("schema_name")
        )
    }
    yield _HEAD
    for schema in rows.schemas:
        yield (
            "<schema>"
            f"{_text('name', schema.schema_name)}"
            f"{_text('description', schema.description)}"
            f"{_text('utype', schema.utype)}\n"
        )
        for table in by_schema.get(schema.schema_name, ()):
            yield _table_element(
                table,
                columns[table.table_name] if detail else [],
                keys.get(table.table_name, []) if detail else [],
                key_columns,
            )
        yield "</schema>\n"
    yield _TAIL


def vosi_table(rows: TapSchemaRows, table_name: str) -> str:
    """Return the document of one table with its columns and keys, as VOSI 1.1 serves it by the table's name.

    Parameters
    ----------
    rows
        Rows of a TAP_SCHEMA, columns in order.
    table_name
        Published name of the table.

    Raises
    ------
    LookupError
        Raised if there is no such table.
    """
    table = next((row for row in rows.tables if row.table_name == table_name), None)
    if table is None:
        raise LookupError(f"there is no table {table_name}")
    keys = [key for key in rows.keys if key.from_table == table_name]
    key_columns: dict[str, list[KeyColumnRow]] = {key.key_id: [] for key in keys}
    for pair in rows.key_columns:
        if pair.key_id in key_columns:
            key_columns[pair.key_id].append(pair)
    columns = [row for row in rows.columns if row.table_name == table_name]
    element = _table_element(table, columns, keys, key_columns)
    return (
        f"{_XML}<vosi:table{_NAMESPACES}"
        f"{element.removeprefix('<table').removesuffix('</table>' + chr(10))}</vosi:table>\n"
    )


def _table_element(
    table: TableRow,
    columns: list[ColumnRow],
    keys: list[KeyRow],
    key_columns: dict[str, list[KeyColumnRow]],
) -> str:
    parts = [
        f"<table type={quoteattr(table.table_type)}>",
        _text("name", table.table_name),
        _text("description", table.description),
        _text("utype", table.utype),
        "\n",
    ]
    parts += map(_column_element, columns)
    for key in keys:
        pairs = "".join(
            f"<fkColumn>{_text('fromColumn', pair.from_column)}"
            f"{_text('targetColumn', pair.target_column)}</fkColumn>"
            for pair in key_columns.get(key.key_id, ())
        )
        parts.append(
            f"<foreignKey>{_text('targetTable', key.target_table)}{pairs}"
            f"{_text('description', key.description)}{_text('utype', key.utype)}</foreignKey>\n"
        )
    parts.append("</table>\n")
    return "".join(parts)


def _column_element(column: ColumnRow) -> str:
    arraysize = f" arraysize={quoteattr(column.arraysize)}" if column.arraysize else ""
    xtype = f" extendedType={quoteattr(column.xtype)}" if column.xtype else ""
    flags = "".join(_text("flag", flag) for flag in _FLAGS if getattr(column, flag))
    return (
        f'<column std="{"true" if column.std else "false"}">'
        f"{_text('name', column.column_name)}"
        f"{_text('description', column.description)}"
        f"{_text('unit', column.unit)}"
        f"{_text('ucd', column.ucd)}"
        f"{_text('utype', column.utype)}"
        f'<dataType xsi:type="vs:VOTableType"{arraysize}{xtype}>{column.datatype}</dataType>'
        f"{flags}</column>\n"
    )


def _text(element: str, content: str | None) -> str:
    return f"<{element}>{escape(content)}</{element}>" if content else ""
