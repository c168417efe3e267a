"""Rows of TAP_SCHEMA.schemas and TAP_SCHEMA.tables, and the descriptors of services."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tap_schema.catalog import LiveTable
from tap_schema.errors import ColumnFinding
from tap_schema.identifiers import matched_names, published_name, published_names
from tap_schema.rows import ParameterRow, ServiceRow, TableRow
from tapdb.errors import Place
from tapdb.hooks.descriptions import (
    ColumnDescription,
    ParameterDescription,
    SchemaDescription,
    ServiceDescription,
    TableDescription,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """A table with its published name.

    Attributes
    ----------
    schema
        Published name of its schema.
    table_name
        Published name, with the schema.
    index
        Order within the schema.
    live
        What exists.
    description
        What it means; `None` if nobody says so.
    described
        Descriptions of its columns by their names in the database.
    columns
        Published names of its columns by their names in the database; hidden ones are not in it. A name is
        spelled as its description spells it, else as the database does.
    """

    schema: str
    table_name: str
    index: int
    live: LiveTable
    description: TableDescription | None
    described: Mapping[str, ColumnDescription] = field(init=False, repr=False)
    columns: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        said = {one.name: one for one in self.description.columns} if self.description else {}
        matched = matched_names(said, (one.name for one in self.live.columns))
        described = {name: said[spelling] for name, spelling in matched.items()}
        hidden = self.description.hidden if self.description else frozenset()
        only_described = self.description is not None and self.description.only_described
        spelled = {
            one.name: described[one.name].name if one.name in described else one.name
            for one in self.live.columns
            if one.name not in hidden and not (only_described and one.name not in described)
        }
        names = published_names(spelled.values())
        object.__setattr__(self, "described", described)
        object.__setattr__(self, "columns", {name: names[spelling] for name, spelling in spelled.items()})

    @property
    def name(self) -> tuple[str, str]:
        """Schema and name in the database, in lower case."""
        return (self.live.schema.lower(), self.live.name.lower())

    @property
    def place(self) -> Place | None:
        """Where it is described."""
        return self.description.place if self.description is not None else None

    def published_column(self, name: str | None) -> str | None:
        """Return the published name of a column, in any case; `None` if it is not published."""
        if name is None:
            return None
        if name in self.columns:
            return self.columns[name]
        return next((public for live, public in self.columns.items() if live.lower() == name.lower()), None)


_RESERVED = 1000
"""Numbers from which on nothing is numbered: tap_schema itself comes last."""

_Pair = tuple[TableDescription | None, LiveTable]


class Numbers:
    """Numbers for what has none, after those that are taken.

    Parameters
    ----------
    taken
        Numbers that are given.
    """

    _STEP = 10

    def __init__(self, taken: Iterable[int | None]) -> None:
        known = (number for number in taken if number is not None and number < _RESERVED)
        self._last = max(known, default=0)

    def next(self) -> int:
        """Return the next number."""
        self._last += self._STEP
        return self._last


def without_repeats(numbers: Sequence[int | None]) -> list[int | None]:
    """Return numbers that order things, so that no two are the same: 10, 20, ... if two of them were."""
    known = [number for number in numbers if number is not None]
    if len(known) == len(set(known)):
        return list(numbers)
    order = sorted(range(len(numbers)), key=lambda at: (numbers[at] is None, numbers[at] or 0, at))
    ranks = {at: rank for rank, at in enumerate(order, start=1)}
    return [10 * ranks[at] for at in range(len(numbers))]


def choose_tables(
    schema: SchemaDescription, name: str, live: list[LiveTable]
) -> tuple[list[PublishedTable], list[LiveTable], list[ColumnFinding]]:
    """Return the tables of a schema that are published, those that cannot be read, and what is wrong.

    Parameters
    ----------
    schema
        Description of the schema.
    name
        Name of the schema in the database.
    live
        Tables that exist in it.
    """
    findings: list[ColumnFinding] = []
    pairs: list[_Pair] = []
    unreadable: list[LiveTable] = []
    for description, table in _pairs(schema, name, live, findings):
        if table.readable is False:
            unreadable.append(table)
            findings.append(_unreadable(name, description, table))
        else:
            pairs.append((description, table))
    spelled = published_names(_spelling(*pair) for pair in pairs)
    given = _places(pairs)
    numbers = Numbers(given)
    chosen = []
    for (description, table), index in zip(pairs, given, strict=True):
        one = PublishedTable(
            schema=published_name(name),
            table_name=f"{published_name(name)}.{spelled[_spelling(description, table)]}",
            index=index if index is not None else numbers.next(),
            live=table,
            description=description,
        )
        chosen.append(one)
        if description is None:
            findings.append(_undescribed(one))
    chosen.sort(key=lambda one: (one.index, one.table_name))
    return chosen, unreadable, findings


def table_row(one: PublishedTable) -> TableRow:
    """Return the row of a table."""
    description = one.description
    return TableRow(
        one.schema,
        one.table_name,
        "view" if one.live.is_view else "table",
        description.utype if description is not None else None,
        (description.description if description is not None else None) or one.live.comment,
        one.index,
    )


def _pairs(
    schema: SchemaDescription,
    name: str,
    live: list[LiveTable],
    findings: list[ColumnFinding],
) -> Iterator[_Pair]:
    """Yield the tables that are to be published, described ones first, in the order of the descriptions."""
    by_name = {table.name: table for table in live}
    described = {table.name for table in schema.tables}
    found = {said: own for own, said in matched_names(described, by_name).items()}
    for description in schema.tables:
        if description.name in found:
            yield description, by_name[found[description.name]]
        elif description.place is not None and not description.optional:
            findings.append(_missing(name, description))
    taken = frozenset(found.values())
    for table in live:
        hidden = schema.only_described or table.is_partition or table.readable is False
        if table.name not in taken and not hidden:
            yield None, table


def _places(pairs: Sequence[_Pair]) -> list[int | None]:
    """Return the places of tables; what is only known from the last publication makes room for the others."""
    is_said = [description is not None and description.place is not None for description, _ in pairs]
    given = [description.index if description is not None else None for description, _ in pairs]
    said = iter(without_repeats([index for index, own in zip(given, is_said, strict=True) if own]))
    places = [next(said) if own else None for own in is_said]
    taken = set(places)
    for at, index in enumerate(given):
        if not is_said[at] and index not in taken:
            places[at] = index
            taken.add(index)
    return places


def _spelling(description: TableDescription | None, table: LiveTable) -> str:
    """Return the name of a table as its description spells it, else as the database does."""
    return description.name if description is not None else table.name


def _missing(schema: str, description: TableDescription) -> ColumnFinding:
    return ColumnFinding(
        "error",
        "table-missing",
        f"{schema}.{published_name(description.name)}",
        "",
        "the table is described, but the database has none of that name",
        "make the table, or leave out its description",
        description.place,
    )


def _unreadable(schema: str, description: TableDescription | None, table: LiveTable) -> ColumnFinding:
    place = description.place if description is not None else None
    # Published once, but no file that is given describes it: it may be on purpose that it is not to be read.
    more = "" if place is not None else f"; --forget {schema} takes back what is published of the schema"
    return ColumnFinding(
        "error",
        "unreadable",
        f"{schema}.{published_name(_spelling(description, table))}",
        "",
        "role tapdb_reader may not read the table, so that it is left out",
        "grant it USAGE on the schema and SELECT on the table, or run tapdb tap-schema publish --grant"
        + more,
        place,
    )


def _undescribed(one: PublishedTable) -> ColumnFinding:
    return ColumnFinding(
        "warning",
        "table-not-described",
        one.table_name,
        "",
        "nobody describes the table",
        "describe it, or take SELECT from tapdb_reader if it is not to be published",
    )


_STEP = 10


def service_rows(
    tables: Sequence[PublishedTable], services: Iterable[ServiceDescription]
) -> tuple[tuple[ServiceRow, ...], tuple[ParameterRow, ...], list[ColumnFinding]]:
    """Return the rows of all services whose table is published, and services that need what is not there."""
    by_name = {table.name: table for table in tables}
    rows: list[ServiceRow] = []
    parameters: list[ParameterRow] = []
    findings: list[ColumnFinding] = []
    for service in services:
        table = by_name.get((service.schema.lower(), service.table.lower()))
        if table is None:
            findings.append(
                _problem(
                    service,
                    "",
                    f"its table {service.schema}.{service.table} is not published",
                    "publish the table",
                )
            )
            continue
        missing = [one for one in service.parameters if one.column and not table.published_column(one.column)]
        findings += (
            _problem(
                service,
                table.table_name,
                f"parameter {one.name} needs column {one.column}, which is not published",
                "name a column that is, or leave out the service",
                one,
            )
            for one in missing
        )
        if missing:
            continue
        rows.append(
            ServiceRow(
                service.id,
                table.table_name,
                service.access_url,
                service.standard_id,
                service.resource_identifier,
                service.content_type,
                service.description,
            )
        )
        parameters += (
            _parameter(service, one, table, _STEP * position)
            for position, one in enumerate(service.parameters, start=1)
        )
    return tuple(rows), tuple(parameters), findings


def _parameter(
    service: ServiceDescription,
    one: ParameterDescription,
    table: PublishedTable,
    index: int,
) -> ParameterRow:
    return ParameterRow(
        service.id,
        one.name,
        table.table_name if one.column else None,
        table.published_column(one.column),
        one.value,
        one.datatype,
        one.arraysize,
        one.xtype,
        one.unit,
        one.ucd,
        one.description,
        index,
    )


def _problem(
    service: ServiceDescription,
    table: str,
    problem: str,
    remedy: str,
    parameter: ParameterDescription | None = None,
) -> ColumnFinding:
    place = parameter.place if parameter is not None else service.place
    return ColumnFinding("error", "datalink", table, "", f"service {service.id}: {problem}", remedy, place)
