"""Rows of ``tap_schema.columns``: each column that exists, with what it means."""

from collections.abc import Iterator, Sequence

from tap_schema.catalog import LiveColumn
from tap_schema.column_types import is_arraysize, is_other_width, merged_type, type_problem, votable_type
from tap_schema.errors import ColumnFinding
from tap_schema.generate.tables import PublishedTable, without_repeats
from tap_schema.identifiers import published_name
from tap_schema.rows import ColumnRow
from tapdb.errors import Place
from tapdb.hooks.descriptions import ColumnDescription

_STEP = 10
_NOTHING = ColumnDescription(name="")


def column_rows(
    tables: Sequence[PublishedTable],
) -> tuple[tuple[ColumnRow, ...], dict[tuple[str, str], Place], list[ColumnFinding]]:
    """Return the rows of all columns, where each is described, and what is wrong."""
    rows: list[ColumnRow] = []
    places: dict[tuple[str, str], Place] = {}
    findings: list[ColumnFinding] = []
    for table in tables:
        rows += _rows(table, places, findings)
    return tuple(rows), places, findings


def _rows(
    table: PublishedTable, places: dict[tuple[str, str], Place], findings: list[ColumnFinding]
) -> list[ColumnRow]:
    described = table.described
    said = table.description.columns if table.description is not None else ()
    positions = {one.name: position for position, one in enumerate(said)}
    is_indexed = {column.name: column.indexed for column in table.live.columns}
    found = []
    for column in table.live.columns:
        name = table.columns.get(column.name)
        if name is None:
            continue
        description = described.get(column.name)
        if (row := _row(table, column, name, description, is_indexed, findings)) is not None:
            position = positions[description.name] if description is not None else 0
            found.append((_order(description, position, column.number), row))
            if description is not None and description.place is not None:
                places[table.table_name, name] = description.place
    found_names = {one.name for one in described.values()}
    findings += (
        _missing(table, one) for one in said if one.name not in found_names and one.place is not None
    )
    found.sort(key=lambda pair: pair[0])
    return _numbered(table, [row for _, row in found], findings)


def _order(description: ColumnDescription | None, position: int, number: int) -> tuple[int, int]:
    """Return where a column goes: by its index, else as it stands in the description or the database."""
    if description is None:
        return (2, number)
    return (1, position) if description.index is None else (0, description.index)


def _row(
    table: PublishedTable,
    column: LiveColumn,
    name: str,
    description: ColumnDescription | None,
    is_indexed: dict[str, bool],
    findings: list[ColumnFinding],
) -> ColumnRow | None:
    shape = description.arraysize if description is not None else None
    if shape is not None and description is not None and description.place is not None:
        findings += _bad_shape(table, name, shape, description.place)
    kind = votable_type(column, shape)
    if kind is None:
        findings.append(_unpublishable(table, column, name, description))
        return None
    if description is None:
        if table.place is not None and table.description is not None and table.description.columns:
            findings.append(_undescribed(table, name))
        description = _NOTHING
    described = (description.datatype, description.arraysize, description.xtype)
    if description.place is not None and (wanted := type_problem(kind, *described)) is not None:
        findings.append(
            ColumnFinding(
                "warning" if is_other_width(wanted.datatype, kind.datatype) else "error",
                "type",
                table.table_name,
                name,
                f"described as {wanted}, but the database has {kind}",
                "describe the type that the column has, or change the column",
                description.place,
            )
        )
    kind = merged_type(kind, *described)
    indexed = is_indexed[column.name] or is_indexed.get(description.searched_by or "", False)
    return ColumnRow(
        table.table_name,
        name,
        kind.datatype,
        kind.arraysize,
        kind.xtype,
        description.description or column.comment,
        description.utype,
        description.unit,
        description.ucd,
        int(indexed),
        int(description.principal),
        int(description.std),
        description.index,
    )


def _numbered(table: PublishedTable, rows: list[ColumnRow], findings: list[ColumnFinding]) -> list[ColumnRow]:
    """Return the rows, those without an index numbered after the others, and all if an index is repeated."""
    numbers = [row.column_index for row in rows]
    if (unique := without_repeats(numbers)) != numbers:
        findings.append(
            ColumnFinding(
                "warning",
                "column-index",
                table.table_name,
                "",
                "two columns are described with one index, so that all are renumbered",
                "give each its own tap:column_index",
                table.place,
            )
        )
        return [row._replace(column_index=index) for row, index in zip(rows, unique, strict=True)]
    last = max((row.column_index for row in rows if row.column_index is not None), default=0)
    numbered = []
    for row in rows:
        last += _STEP if row.column_index is None else 0
        numbered.append(row if row.column_index is not None else row._replace(column_index=last))
    return numbered


def _missing(table: PublishedTable, description: ColumnDescription) -> ColumnFinding:
    return ColumnFinding(
        "error",
        "column-missing",
        table.table_name,
        published_name(description.name),
        "the column is described, but the table has none of that name",
        "add the column to the table, or leave out its description",
        description.place,
    )


def _undescribed(table: PublishedTable, name: str) -> ColumnFinding:
    return ColumnFinding(
        "warning",
        "column-not-described",
        table.table_name,
        name,
        "the table is described, but this column of it is not",
        "describe it",
        table.place,
    )


def _bad_shape(table: PublishedTable, name: str, shape: str, place: Place) -> Iterator[ColumnFinding]:
    if not is_arraysize(shape):
        yield ColumnFinding(
            "error",
            "arraysize",
            table.table_name,
            name,
            f"described with the arraysize {shape}, which VOTable does not allow",
            "write a number from 2, a number and *, or *, after others with an x: 2x3, 2x*",
            place,
        )


def _unpublishable(
    table: PublishedTable, column: LiveColumn, name: str, description: ColumnDescription | None
) -> ColumnFinding:
    kind = f"an array of {column.type}" if column.is_array else column.type
    remedy = "publish a view that casts it to text, or to a type that VOTable has"
    if column.is_array and column.dimensions > 1:
        kind += f" in {column.dimensions} dimensions whose shape nobody describes"
        remedy = f'describe its shape, as votable:arraysize: "{"x".join(["3"] * column.dimensions)}"'
    return ColumnFinding(
        "error" if description is not None else "warning",
        "unpublishable-type",
        table.table_name,
        name,
        f"VOTable has no type for {kind}, so that the column is left out",
        remedy,
        description.place if description is not None else None,
    )
