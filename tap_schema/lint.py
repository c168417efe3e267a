"""What is wrong with rows of TAP_SCHEMA: names, units, UCDs, keys, standards, values in the database."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import sqlalchemy as sa

from adql.names import column_id, identifier_of, split_name
from adql.units import VOUnit, vounit
from tap_schema.column_types import is_arraysize, is_other_width, xtype_problem
from tap_schema.errors import ColumnFinding
from tap_schema.rows import KEYS, ColumnRow, TapSchemaRows, key_of
from tapdb.errors import Place
from tapdb.extras import from_extra
from tapdb.findings import Severity
from tapdb.hooks.descriptions import ColumnDescription, StandardTable
from tapdb.votable.fields import TEXTS

_LONGEST = 120
_OFTEN_MEANT = {
    "deg_C": "'degC'",
    "degree": "deg",
    "degrees": "deg",
    "seconds": "s",
    "days": "d",
    "years": "yr",
    "hours": "h",
    "pixels": "pixel",
    "counts": "count",
    "photons": "photon",
}
_POWER = re.compile(r"(?<=[A-Za-z)])(?:\^|\*\*)?([+-]?[0-9]+)")


def unit_problem(unit: str) -> tuple[Severity, str] | None:
    """Return what is wrong with a unit, and what to write; `None` if VOUnits has it.

    A unit that is well formed may be published whether VOUnits lists it or not, so that this is a warning.
    """
    found = vounit(unit)
    hint = f"; {meant} is" if (meant := _meant(unit)) is not None else ""
    if found.problem is not None:
        return "error", f"unit {unit} is not one of VOUnits ({found.problem}){hint}"
    if found.unknown:
        names = ", ".join(found.unknown)
        return "warning", f"unit {unit} has what VOUnits does not list ({names}){hint}"
    return None


def _meant(unit: str) -> str | None:
    """Return a unit of VOUnits that a text is likely to mean; `None` if there is no such one."""
    words = re.sub(r"[A-Za-z_]+", lambda found: _OFTEN_MEANT.get(found[0], found[0]), unit.replace("'", ""))
    factors = re.split(r"(?<!\*)\*(?!\*)|[ .]", words)
    plain = ".".join(_POWER.sub(r"**\1", part) for part in factors if part)
    if unit[:1].isdigit():
        # Nothing stands between a scale factor and the first unit.
        plain = re.sub(r"(?<=[0-9])\.(?=[A-Za-z])", "", plain, count=1)
    first, *others = plain.split("/")
    plain = f"{first}/({'.'.join(others)})" if len(others) > 1 else plain
    if plain != unit and vounit(plain) == VOUnit(None):
        return plain
    quoted = f"'{unit}'"
    return quoted if vounit(quoted) == VOUnit(None) else None


@lru_cache(maxsize=4096)
def ucd_problem(ucd: str) -> str | None:
    """Return what is wrong with a UCD; `None` if it is made of the words of UCD1+ in their places."""
    with from_extra("astropy", "check of UCDs"):
        from astropy.io.votable.ucd import parse_ucd  # noqa: PLC0415 - as above

    try:
        parse_ucd(ucd, check_controlled_vocabulary=True, has_colon=True)
    except ValueError as error:
        return f"UCD {ucd}: {' '.join(str(error).split())[:_LONGEST]}"
    return None


def check_values(
    connection: sa.Connection, rows: TapSchemaRows, standards: Iterable[StandardTable]
) -> tuple[ColumnFinding, ...]:
    """Return the columns of published tables of a standard that hold values which it forbids.

    Each such table is read once, whole.

    Parameters
    ----------
    connection
        Connection to the database.
    rows
        What is published.
    standards
        Tables that standards define.
    """
    names = {
        tuple(part.lower() for part in split_name(row.table_name)): row.table_name for row in rows.tables
    }
    columns = rows.columns_by_table()
    found: list[ColumnFinding] = []
    for standard in standards:
        published = names.get((standard.schema.lower(), standard.name.lower()))
        if published is None:
            continue
        present = {split_name(row.column_name)[-1].lower() for row in columns[published]}
        found += _table(connection, standard, published, present)
    return tuple(found)


def _table(
    connection: sa.Connection, standard: StandardTable, published: str, present: set[str]
) -> Iterator[ColumnFinding]:
    inspector = sa.inspect(connection)
    live = {
        name.lower(): name
        for name in (
            *inspector.get_table_names(standard.schema),
            *inspector.get_view_names(standard.schema),
            *inspector.get_materialized_view_names(standard.schema),
        )
    }
    table = sa.table(live[standard.name.lower()], schema=standard.schema)
    checks = [
        *(("null", name, sa.column(name).is_(None)) for name in sorted(standard.not_null & present)),
        *(
            ("value", name, sa.column(name).not_in(values))
            for name, values in standard.values.items()
            if name in present
        ),
    ]
    if not checks:
        return
    counts = connection.execute(
        sa.select(*(sa.func.count().filter(condition) for _, _, condition in checks)).select_from(table)
    ).one()
    for (rule, name, _), count in zip(checks, counts, strict=True):
        if count:
            allowed = ", ".join(map(str, standard.values.get(name, ())))
            wanted = "a value" if rule == "null" else f"one of {allowed}"
            yield ColumnFinding(
                "error",
                rule,
                published,
                name,
                f"{count} rows have {'no value' if rule == 'null' else 'another value'} where "
                f"{standard.standard} wants {wanted}",
                "mend the rows, or what they are made from",
            )


SELF_KEYS = (
    ("tap_schema.tables", "tap_schema.schemas", "schema_name", "schema_name"),
    ("tap_schema.columns", "tap_schema.tables", "table_name", "table_name"),
    ("tap_schema.keys", "tap_schema.tables", "from_table", "table_name"),
    ("tap_schema.keys", "tap_schema.tables", "target_table", "table_name"),
    ("tap_schema.key_columns", "tap_schema.keys", "key_id", "key_id"),
)
"""The foreign keys within TAP_SCHEMA that TAP 1.1 section 4 wants: tables and columns."""


def lint_keys(rows: TapSchemaRows) -> Iterator[ColumnFinding]:
    """Yield foreign keys and services that lead nowhere, and keys of TAP_SCHEMA itself that are missing."""
    columns = {(row.table_name, row.column_name): row for row in rows.columns}
    tables = {row.table_name for row in rows.tables}
    yield from _rows_without_table(rows, tables)
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in rows.key_columns:
        pairs.setdefault(row.key_id, []).append((row.from_column, row.target_column))
    known = {row.key_id for row in rows.keys}
    for key_id in pairs.keys() - known:
        yield _dangling("", f"columns of a key {key_id}, which is not there")
    found = set()
    for key in rows.keys:
        for table in (key.from_table, key.target_table):
            if table not in tables:
                yield _dangling(key.from_table, f"key {key.key_id} names {table}, which is not published")
        if key.key_id not in pairs:
            yield _dangling(key.from_table, f"key {key.key_id} has no columns")
        for own, other in pairs.get(key.key_id, ()):
            found.add((key.from_table.lower(), key.target_table.lower(), own, other))
            yield from _pair(key.key_id, (key.from_table, own), (key.target_table, other), columns)
    if any(table.lower() == "tap_schema.keys" for table in tables):
        for missing in (key for key in SELF_KEYS if key not in found):
            yield ColumnFinding(
                "error",
                "self-key",
                missing[0],
                missing[2],
                f"TAP_SCHEMA does not say that it refers to {missing[1]}.{missing[3]} (TAP 1.1 section 4)",
                "publish again: tapdb tap-schema publish",
            )
    yield from _services(rows, columns)


def _rows_without_table(rows: TapSchemaRows, tables: set[str]) -> Iterator[ColumnFinding]:
    for name in {row.table_name for row in rows.columns} - tables:
        yield ColumnFinding(
            "error", "dangling", name, "", "columns of a table that is not published", "publish it"
        )
    schemas = {row.schema_name for row in rows.schemas}
    for row in rows.tables:
        if row.schema_name not in schemas:
            problem = f"its schema {row.schema_name} is not published"
            yield ColumnFinding("error", "dangling", row.table_name, "", problem, "publish the schema")


def _pair(
    key_id: str, own: tuple[str, str], other: tuple[str, str], columns: dict[tuple[str, str], ColumnRow]
) -> Iterator[ColumnFinding]:
    missing = [one for one in (own, other) if one not in columns]
    for table, column in missing:
        yield _dangling(own[0], f"key {key_id} names {table}.{column}, which is not published")
    if missing:
        return
    one, two = columns[own].datatype, columns[other].datatype
    if one != two and not is_other_width(one, two):
        yield ColumnFinding(
            "warning",
            "key-type",
            *own,
            f"{one} refers to {'.'.join(other)}, which is {two} (key {key_id})",
            "describe columns of one type, or leave out the key",
        )


def _services(rows: TapSchemaRows, columns: dict[tuple[str, str], ColumnRow]) -> Iterator[ColumnFinding]:
    tables = {row.service_id: row.table_name for row in rows.datalink_service}
    published = {row.table_name for row in rows.tables}
    for service, table in tables.items():
        if table not in published:
            yield _service(table, f"service {service} belongs to a table that is not published")
        if not any(row.service_id == service for row in rows.datalink_parameter):
            yield _service(table, f"service {service} has no parameters")
    for row in rows.datalink_parameter:
        what = f"parameter {row.parameter_name} of service {row.service_id}"
        if row.service_id not in tables:
            yield _service(row.table_name or "", f"{what}, which is not there")
        elif row.column_name is not None and (row.table_name, row.column_name) not in columns:
            yield _service(tables[row.service_id], f"{what} needs column {row.column_name}, not published")
        elif row.column_name is not None and row.table_name != tables[row.service_id]:
            yield _service(tables[row.service_id], f"{what} takes a column of {row.table_name}")


def _service(table: str, problem: str) -> ColumnFinding:
    return ColumnFinding("error", "datalink", table, "", problem, "name a column of the table of the service")


def _dangling(table: str, problem: str) -> ColumnFinding:
    return ColumnFinding(
        "error", "dangling-key", table, "", problem, "publish what it names, or leave out the key"
    )


_NUMBERS = frozenset({"schema_index", "table_index", "size", "principal", "indexed", "std", "column_index"})
_NAMES = {
    "schemas": "schema_name utype description schema_index",
    "tables": "schema_name table_name table_type utype description table_index",
    "columns": "table_name column_name datatype arraysize xtype size description utype unit ucd"
    " indexed principal std column_index",
    "keys": "key_id from_table target_table description utype",
    "key_columns": "key_id from_column target_column",
}

TAP_SCHEMA_TABLES: tuple[StandardTable, ...] = tuple(
    StandardTable(
        standard="TAP 1.1",
        schema="tap_schema",
        name=table,
        columns=tuple(
            ColumnDescription(
                name=name,
                datatype="int" if name in _NUMBERS else "char",
                arraysize=None if name in _NUMBERS else "*",
                std=True,
            )
            for name in names.split()
        ),
        mandatory=frozenset(names.split()),
    )
    for table, names in _NAMES.items()
)
"""The five tables of TAP 1.1 section 4."""


def lint_standards(rows: TapSchemaRows, standards: Iterable[StandardTable]) -> Iterator[ColumnFinding]:
    """Yield what a published table of a standard lacks or has otherwise."""
    by_table = rows.columns_by_table()
    names = {tuple(part.lower() for part in split_name(name)): name for name in by_table}
    for standard in (*TAP_SCHEMA_TABLES, *standards):
        name = names.get((standard.schema.lower(), standard.name.lower()))
        if name is not None:
            yield from _standard_table(name, standard, by_table[name])


def _standard_table(
    name: str, standard: StandardTable, columns: Sequence[ColumnRow]
) -> Iterator[ColumnFinding]:
    present = {split_name(row.column_name)[-1].lower(): row for row in columns}
    for wanted in standard.columns:
        row = present.get(wanted.name)
        if row is not None:
            yield from _standard_column(row, standard, wanted)
        elif wanted.name in standard.mandatory:
            yield ColumnFinding(
                "error",
                "mandatory",
                name,
                wanted.name,
                f"{standard.standard} demands the column, and it is not published",
                "add it to the table, NULL if there is nothing to say",
            )


def _standard_column(
    row: ColumnRow, standard: StandardTable, wanted: ColumnDescription
) -> Iterator[ColumnFinding]:
    # Case does not matter in UCDs and utypes; in units it does.
    differences = [
        ("unit", row.unit, wanted.unit, row.unit == wanted.unit),
        ("ucd", row.ucd, wanted.ucd, _same(row.ucd, wanted.ucd)),
        ("utype", row.utype, wanted.utype, _same(row.utype, wanted.utype)),
        ("datatype", row.datatype, wanted.datatype, _same_type(row, wanted)),
        ("std", row.std, 1, row.std == 1),
    ]
    if wanted.principal:
        differences.append(("principal", row.principal, 1, row.principal == 1))
    for what, found, expected, fine in differences:
        if not fine and not (what in {"ucd", "utype", "unit"} and standard.schema == "tap_schema"):
            yield ColumnFinding(
                "warning" if what == "principal" else "error",
                f"standard-{what}",
                row.table_name,
                row.column_name,
                f"{what} is {found}, but {standard.standard} says {expected}",
                f"publish it as {expected}",
            )


def _same(one: str | None, other: str | None) -> bool:
    return (one or "").lower() == (other or "").lower()


def _same_type(row: ColumnRow, wanted: ColumnDescription) -> bool:
    if wanted.datatype is None or row.datatype == wanted.datatype:
        return True
    if row.xtype in {"polygon", "adql:REGION"} and wanted.xtype == "adql:REGION":
        return True
    return is_other_width(row.datatype, wanted.datatype) or {row.datatype, wanted.datatype} <= TEXTS


_OF_MANY_COLUMNS = frozenset({"unit", "utype", "type"})
_UTYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:[A-Za-z0-9_.:#/-]+")

_Places = Mapping[tuple[str, str], Place]
_Problem = tuple[Severity, str, str, str]


def lint_rows(
    rows: TapSchemaRows,
    *,
    places: _Places | None = None,
    standards: Iterable[StandardTable] = (),
) -> tuple[ColumnFinding, ...]:
    """Return all that is wrong in rows, in their order.

    Parameters
    ----------
    rows
        Rows of a TAP_SCHEMA.
    places
        Where tables and columns are described, by published names.
    standards
        Tables that standards define, beside those of TAP itself.
    """
    found = [
        *_duplicates(rows),
        *_tables(rows),
        *(finding for column in rows.columns for finding in _column(column)),
        *lint_keys(rows),
        *lint_standards(rows, standards),
    ]
    known = places or {}
    return tuple(once_a_file([_placed(finding, known) for finding in found]))


def once_a_file(findings: Sequence[ColumnFinding]) -> Iterator[ColumnFinding]:
    """Yield findings; warnings of one cause that columns share come once a file, or schema without a file.

    Such are units that VOUnits does not list, utypes without a prefix, and numbers of another width.
    """
    repeated = [
        (one.place.file if one.place is not None else split_name(one.table)[0], one.rule, one.problem)
        if one.severity == "warning" and one.rule in _OF_MANY_COLUMNS
        else None
        for one in findings
    ]
    counts = Counter(repeated)
    seen = set()
    for key, one in zip(repeated, findings, strict=True):
        if key is None:
            yield one
        elif key not in seen:
            seen.add(key)
            more = f", here and in {counts[key] - 1} more columns" if counts[key] > 1 else ""
            yield replace(one, problem=one.problem + more)


def _placed(finding: ColumnFinding, places: _Places) -> ColumnFinding:
    place = places.get((finding.table, finding.column), places.get((finding.table, "")))
    if place is None:
        return finding
    return ColumnFinding(
        *(finding.severity, finding.rule, finding.table, finding.column, finding.problem, finding.remedy),
        place,
    )


def _duplicates(rows: TapSchemaRows) -> Iterator[ColumnFinding]:
    """Yield rows that cannot stand beside each other."""
    for name, of_table in rows.by_table().items():
        if not of_table:
            continue
        # Without quotes names that differ in case alone are one; with quotes they are two.
        keys = Counter(_folded(key_of(name, row)) for row in of_table)
        for key, count in keys.items():
            if count > 1:
                what = ", ".join(KEYS[name])
                yield ColumnFinding(
                    "error",
                    "duplicate",
                    str(key[0]),
                    str(key[1]) if len(key) > 1 else "",
                    f"{count} rows of {name} have this {what}",
                    "keep one of them",
                )
    ids = Counter(column_id(row.table_name, row.column_name) for row in rows.columns)
    for row in rows.columns:
        identifier = column_id(row.table_name, row.column_name)
        if ids[identifier] > 1:
            yield ColumnFinding(
                "warning",
                "duplicate-id",
                row.table_name,
                row.column_name,
                f"another column has the ID {identifier} in VOTables too",
                "rename one of them, if DataLink descriptors are to refer to it",
            )


def _folded(key: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(part if not isinstance(part, str) or part.endswith('"') else part.lower() for part in key)


def _tables(rows: TapSchemaRows) -> Iterator[ColumnFinding]:
    for table in rows.tables:
        parts = split_name(table.table_name)
        if (reserved := _unquoted(table.table_name)) is not None:
            yield _finding(table.table_name, "", _reserved(reserved))
        if len(parts) < 2 or parts[0] != split_name(table.schema_name)[-1]:  # noqa: PLR2004 - schema and table
            problem = f"the name does not begin with that of its schema, {table.schema_name}"
            yield _finding(
                table.table_name, "", ("error", "table-name", problem, "write the schema before the table")
            )
        if not (table.description or "").strip():
            yield _finding(
                table.table_name, "", ("warning", "description", "it has no description", "describe it")
            )
    by_table = rows.columns_by_table()
    for name, columns in by_table.items():
        if not any(column.principal for column in columns):
            remedy = "mark those that are shown by default"
            yield _finding(name, "", ("warning", "principal", "no column is principal", remedy))
        counts = Counter(column.column_index for column in columns if column.column_index is not None)
        for index, count in counts.items():
            if count > 1:
                many = f"{count} columns have the index {index}"
                yield _finding(name, "", ("warning", "column-index", many, "give each its own"))


def _column(row: ColumnRow) -> Iterator[ColumnFinding]:
    for check in _CHECKS:
        if (problem := check(row)) is not None:
            yield _finding(row.table_name, row.column_name, problem)


def _finding(table: str, column: str, problem: _Problem) -> ColumnFinding:
    severity, rule, what, remedy = problem
    return ColumnFinding(severity, rule, table, column, what, remedy)


def _unquoted(name: str) -> str | None:
    """Return the part of a published name that has to be in double quotes and is not."""
    if '"' not in name:
        return next((part for part in name.split(".") if identifier_of(part).quoted), None)
    outside = re.sub(r'"(?:[^"]|"")*"', "", name)
    return next((part for part in outside.split(".") if part and identifier_of(part).quoted), None)


def _reserved(part: str) -> _Problem:
    return (
        "error",
        "reserved-word",
        f"{part} is a reserved word of ADQL, or no identifier",
        f'write "{part}" in double quotes, or rename it',
    )


def _name(row: ColumnRow) -> _Problem | None:
    part = _unquoted(row.column_name)
    return _reserved(part) if part is not None else None


def _unit(row: ColumnRow) -> _Problem | None:
    if row.unit is None or (problem := unit_problem(row.unit)) is None:
        return None
    severity, what = problem
    return (
        severity,
        "unit",
        what,
        "write it as VOUnits does; a unit that it does not list, in single quotes",
    )


def _ucd(row: ColumnRow) -> _Problem | None:
    if row.ucd is None or (problem := ucd_problem(row.ucd)) is None:
        return None
    return ("error", "ucd", problem, "take words from the UCD1+ list")


def _utype(row: ColumnRow) -> _Problem | None:
    if row.utype is None or _UTYPE.fullmatch(row.utype):
        return None
    return (
        "warning",
        "utype",
        f"utype {row.utype} has no prefix",
        "write the data model before it, as obscore:",
    )


def _arraysize(row: ColumnRow) -> _Problem | None:
    if row.arraysize is None or is_arraysize(row.arraysize):
        return None
    return (
        "error",
        "arraysize",
        f"arraysize {row.arraysize} is not allowed by VOTable",
        "write a number from 2, a number and *, or *; nothing for a single value",
    )


def _xtype(row: ColumnRow) -> _Problem | None:
    if row.xtype is None or (problem := xtype_problem(row.xtype, row.datatype, row.arraysize)) is None:
        return None
    return ("error", "xtype", problem, "take one of DALI's that goes with the type, or one with a prefix")


def _description(row: ColumnRow) -> _Problem | None:
    if (row.description or "").strip():
        return None
    return ("warning", "description", "it has no description", "say what it holds")


_CHECKS: tuple[Callable[[ColumnRow], _Problem | None], ...] = (
    *(_name, _unit, _ucd, _utype, _arraysize, _xtype, _description),
)
