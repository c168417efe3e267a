"""The tables, columns and functions that a service publishes: all that a query can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, overload

from adql.names import Identifier, column_id, identifier_of, names_match, split_name
from adql.types import ValueType, value_type

_ColumnsByName = Mapping[str, tuple["ColumnMetadata", ...]]
_Row = Mapping[str, Any]
_ColumnRow = Sequence[Any]
_Names = Mapping[str, Mapping[str, Iterable[str]]]
_Item = TypeVar("_Item")

COLUMN_FIELDS = (
    *("table_name", "column_name", "datatype", "arraysize", "xtype", "description", "utype", "unit", "ucd"),
    *("indexed", "principal", "std", "column_index"),
)
"""``TAP_SCHEMA.columns`` without its obsolete ``size``, in the order that `metadata_from_values` reads."""

# Hidden columns beside a region, by the names that Butler's ObsCore and OpenCADC's services give them.
_REGION_COLUMNS = ("pgs_region", "pgsphere_region")
_CENTER_COLUMNS = ("pgs_center", "pgsphere_position")
_MOC_COLUMNS = {"moc": "pgs_moc"}
"""Text columns with a MOC, and the hidden columns of type ``smoc`` that say the same."""


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One FIELD of the result: its name and what a VOTable says of it.

    Parameters
    ----------
    name, datatype, arraysize, xtype, unit, ucd, utype, description
        As VOTable has them.
    table, column
        Names in TAP_SCHEMA of the published column whose values it holds; `None` for an expression.
    """

    name: str
    datatype: str
    arraysize: str | None = None
    xtype: str | None = None
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    description: str | None = field(default=None, repr=False)
    table: str | None = None
    column: str | None = None

    @property
    def identifier(self) -> str | None:
        """ID of the FIELD: ``column_id`` in TAP_SCHEMA of the published column; `None` for an expression."""
        return None if self.table is None or self.column is None else column_id(self.table, self.column)


class ColumnMetadata(NamedTuple):
    """A published column, or an output column of a subquery.

    A named tuple, since a service makes twenty thousand of them whenever its TAP_SCHEMA changes.

    Parameters
    ----------
    name
        Name in TAP_SCHEMA, without double quotes.
    type
        Type, unit, UCD and utype.
    sql_name
        Name in the database.
    indexed
        Whether TAP_SCHEMA says that the column has an index.
    region_column
        Column of type ``spoly`` beside this one that holds what a text such as ``s_region`` says. It is
        used where the column is the argument of a geometrical function, and never shown.
    center_column
        Column of type ``spoint`` that holds the centre of that region.
    latitude_column
        Column of a subquery that holds the latitude of this point: beyond a pole the point is NULL.
    source
        Names of table and column in TAP_SCHEMA, as it spells them, of the published column whose values it
        holds; `None` for an expression, and where nobody has said.
    array_column
        Column of type ``double precision[]`` that holds this geometry as a user has brought it, and as it is
        shown; the geometry itself is NULL where pgSphere has none.
    """

    name: str
    type: ValueType
    sql_name: str
    indexed: bool = False
    region_column: str | None = None
    center_column: str | None = None
    latitude_column: str | None = None
    source: tuple[str, str] | None = None
    array_column: str | None = None

    @property
    def identifier(self) -> Identifier:
        """The name as a query has to write it."""
        return identifier_of(self.name)


_new_column: Callable[[tuple[Any, ...]], ColumnMetadata] = partial(tuple.__new__, ColumnMetadata)


@dataclass(frozen=True, slots=True)
class Position:
    """Two columns of a table whose point is stored, so that ``POINT(longitude, latitude)`` can use its index.

    Parameters
    ----------
    longitude, latitude
        Names of the columns in TAP_SCHEMA, in degrees.
    sql_name
        Name of the column of type ``spoint`` in the database.
    region
        Name of a column of type ``spoly`` in whose regions the points lie, where there is one: a search for
        points then uses the index on the regions.
    """

    longitude: str
    latitude: str
    sql_name: str
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMetadata:
    """A published table or an uploaded one.

    Parameters
    ----------
    name
        Parts of its name in TAP_SCHEMA without double quotes, such as ``("dp1", "Object")``.
    columns
        Its columns, in the order of ``SELECT *``.
    sql_schema, sql_name
        Name in the database.
    is_upload
        Whether a user brought it: a small table without an index, the side that drives a crossmatch.
    positions
        Points that are stored beside their coordinates.
    by_full_name
        Whether a query must write the whole name. A table of old versions can then have the name of the
        current table, which a name without a schema means.
    nodes
        What a view or a table with partitions adds to each query that names it, in operations as
        ``max_expanded`` counts them; 0 for a plain table.
    guarded
        Schema and name of a view of the same rows that is a barrier: PostgreSQL evaluates no expression of a
        query on a row that it hides. `None` for a table whose rows all may be seen.
    """

    name: tuple[str, ...]
    columns: Sequence[ColumnMetadata]
    sql_schema: str | None
    sql_name: str
    is_upload: bool = False
    positions: Sequence[Position] = ()
    by_full_name: bool = False
    nodes: int = 0
    guarded: tuple[str, str] | None = None
    _by_name: _ColumnsByName | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def columns_by_name(self) -> _ColumnsByName:
        """Its columns by their names in lower case, gathered when a query first names the table."""
        if self._by_name is None:
            object.__setattr__(self, "_by_name", columns_by_name(self.columns))
        return self._by_name or {}


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function that the service offers beside those of the language.

    Parameters
    ----------
    name
        Name in queries; case does not matter.
    arguments
        Family of each argument, as in `ValueType`.
    returns
        Type of the result.
    sql
        What it is in PostgreSQL: text, and in place of each argument, exactly once, its number from 0.
    is_pure
        Whether the result is known to depend on the arguments alone, always and everywhere.
    elsewhere
        The same for other engines, by names such as ``duckdb``; numbers come as integers or doubles.

    Raises
    ------
    ValueError
        `sql` does not hold each argument once.
    """

    name: str
    arguments: tuple[str, ...]
    returns: ValueType
    sql: tuple[str | int, ...]
    is_pure: bool = False
    elsewhere: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for form in (self.sql, *self.elsewhere.values()):
            if sorted(part for part in form if isinstance(part, int)) != list(range(len(self.arguments))):
                raise ValueError(f"the SQL of {self.name} must hold each of its arguments once")


@dataclass(frozen=True, slots=True)
class Metadata:
    """All that a service publishes.

    Parameters
    ----------
    tables
        Published tables.
    functions
        User-defined functions.

    Attributes
    ----------
    hides_rows
        Whether rows of a table are hidden (`TableMetadata.guarded`).
    """

    tables: tuple[TableMetadata, ...]
    functions: tuple[UserFunction, ...] = ()
    hides_rows: bool = field(init=False, compare=False, repr=False)
    _by_name: Mapping[str, tuple[TableMetadata, ...]] = field(init=False, compare=False, repr=False)
    _functions: Mapping[str, UserFunction] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        by_name: dict[str, list[TableMetadata]] = {}
        for table in self.tables:
            by_name.setdefault(table.name[-1].lower(), []).append(table)
        object.__setattr__(self, "hides_rows", any(table.guarded is not None for table in self.tables))
        object.__setattr__(
            self, "_by_name", MappingProxyType({name: tuple(of) for name, of in by_name.items()})
        )
        functions = {function.name.lower(): function for function in self.functions}
        object.__setattr__(self, "_functions", MappingProxyType(functions))

    def find_tables(self, name: tuple[Identifier, ...]) -> tuple[TableMetadata, ...]:
        """Return the tables that a name can mean: usually one.

        A name without its schema means any table of that name, but for those that want their whole name.
        """
        found = self._by_name.get(name[-1].text.lower(), ())
        return tuple(
            table
            for table in found
            if names_match(name, table.name) and not (table.by_full_name and len(name) < len(table.name))
        )

    def find_function(self, name: str) -> UserFunction | None:
        """Return the user-defined function of that name."""
        return self._functions.get(name.lower())

    def with_tables(self, tables: Iterable[TableMetadata]) -> Metadata:
        """Return the same service with more tables, such as the uploads of one request."""
        return Metadata((*self.tables, *tables), self.functions)


@dataclass(frozen=True, slots=True)
class TableOrigin:
    """Which relation a table of a query is.

    Parameters
    ----------
    alias
        Name of the relation in the SQL.
    table
        The published table; `None` for a subquery or common table expression.
    sql_name
        Name of a common table expression in the SQL.
    qualifier
        What stands before its columns in the checked query.
    level
        How many queries enclose the one that names it, whose columns that one may name too.
    """

    alias: str
    table: TableMetadata | None = None
    sql_name: str = ""
    qualifier: tuple[Identifier, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True)
class ColumnOrigin:
    """Which column of which relation a column of a query is.

    Parameters
    ----------
    relation
        The relation; of several that USING joined, the one whose value is taken.
    column
        The column there.
    others
        With ``FULL JOIN ... USING``, columns whose value stands in where this one is NULL.
    """

    relation: TableOrigin
    column: ColumnMetadata
    others: tuple[ColumnOrigin, ...] = ()


def columns_by_name(columns: Iterable[ColumnMetadata]) -> _ColumnsByName:
    """Return columns by their names in lower case; two names may differ in case alone."""
    by_name: dict[str, list[ColumnMetadata]] = {}
    for column in columns:
        by_name.setdefault(column.name.lower(), []).append(column)
    return MappingProxyType({name: tuple(of) for name, of in by_name.items()})


def hidden_name(number: int, what: str) -> str:
    """Return the name of a column that a subquery carries beside its output columns.

    Parameters
    ----------
    number
        Number of the output column that it belongs to, from 1.
    what
        ``region``, ``center`` or ``latitude``.
    """
    return f"#{number} {what}"


def metadata_from_rows(
    tables: Iterable[_Row],
    columns: Iterable[_Row],
    *,
    database: _Names | None = None,
    functions: Iterable[UserFunction] = (),
) -> Metadata:
    """Return what the rows of ``TAP_SCHEMA.tables`` and ``TAP_SCHEMA.columns`` publish.

    Parameters
    ----------
    tables
        Rows with ``table_name``; ``sql_schema`` and ``sql_name`` may say what the table is called in the
        database.
    columns
        Rows with ``table_name``, ``column_name``, ``datatype`` and, if known, ``arraysize``, ``xtype``,
        ``unit``, ``ucd``, ``utype``, ``description``, ``indexed`` and ``column_index``.
    database
        What exists: column names by table, by schema. Published names are looked up in it without regard to
        case; without it, a name in the database is spelled as it is published. It also tells which tables
        have the hidden columns of ObsCore, ``pgs_region`` and ``pgs_center``.
    functions
        User-defined functions of the service.
    """
    rows = list(columns)
    return metadata_from_values(
        tables,
        [tuple(map(row.get, COLUMN_FIELDS)) for row in rows],
        database=database,
        functions=functions,
        sql_names={
            (row["table_name"], row["column_name"]): row["sql_name"] for row in rows if row.get("sql_name")
        },
    )


def metadata_from_values(
    tables: Iterable[_Row],
    columns: Iterable[_ColumnRow],
    *,
    database: _Names | None = None,
    functions: Iterable[UserFunction] = (),
    sql_names: Mapping[tuple[str, str], str] = MappingProxyType({}),
    nodes: Mapping[tuple[str, str], int] = MappingProxyType({}),
) -> Metadata:
    """Return the same as `metadata_from_rows`, at less cost: columns are sequences of values.

    Parameters
    ----------
    tables, database, functions
        As in `metadata_from_rows`.
    columns
        Values of `COLUMN_FIELDS`.
    sql_names
        Names in the database of columns that have another one there, by published names of table and column.
    nodes
        What views add to queries (`TableMetadata`), by names of schema and view in the database.
    """
    by_table: dict[str, list[_ColumnRow]] = {}
    for row in columns:
        by_table.setdefault(row[0], []).append(row)
    types = _Types()
    made = (
        _table(row, by_table.get(row["table_name"], []), database or {}, sql_names, types, nodes)
        for row in tables
    )
    return Metadata(tuple(made), tuple(functions))


def _table(
    row: _Row,
    columns: list[_ColumnRow],
    database: _Names,
    sql_names: Mapping[tuple[str, str], str],
    types: _Types,
    nodes: Mapping[tuple[str, str], int],
) -> TableMetadata:
    name = split_name(row["table_name"])
    schema = row.get("sql_schema") or (name[-2] if len(name) > 1 else None)
    table = row.get("sql_name") or name[-1]
    spellings: Iterable[str] = ()
    if schema is not None:
        schema = _spelling(schema, database)
        table = _spelling(table, database.get(schema, {}))
        spellings = database.get(schema, {}).get(table, ())
    existing = cache(partial(_by_spelling, spellings))
    # A service publishes twenty thousand columns, of which a query names a few tables'.
    made = _WhenRead(lambda: _columns(_in_order(columns), existing(), sql_names, types))
    return TableMetadata(
        name=name,
        columns=made,
        sql_schema=schema,
        sql_name=table,
        positions=_WhenRead(lambda: _positions(made, existing())),
        nodes=nodes.get((schema or "", table), 0),
    )


class _WhenRead(Sequence[_Item]):
    """A sequence that is made when it is first read, and equals the tuple of its items."""

    __slots__ = ("_items", "_make")

    def __init__(self, make: Callable[[], tuple[_Item, ...]]) -> None:
        self._make = make
        self._items: tuple[_Item, ...] | None = None

    def _read(self) -> tuple[_Item, ...]:
        # Two threads may both make it: the results are equal.
        if self._items is None:
            self._items = self._make()
        return self._items

    @overload
    def __getitem__(self, place: int) -> _Item: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[_Item, ...]: ...
    def __getitem__(self, place: int | slice) -> _Item | tuple[_Item, ...]:
        return self._read()[place]

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[_Item]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == (other._read() if isinstance(other, _WhenRead) else other)

    def __hash__(self) -> int:
        return hash(self._read())

    def __repr__(self) -> str:
        return repr(self._read())


def _by_spelling(spellings: Iterable[str]) -> Mapping[str, str]:
    """Return the names of columns in the database by themselves and in lower case.

    Two columns may differ in case alone: the exact spelling comes first.
    """
    known = tuple(spellings)
    return dict(zip((*map(str.lower, known), *known), known * 2, strict=True))


class _Types(dict[Sequence[Any], ValueType]):
    """Types by what is published of them, made when first asked for: columns share most of them."""

    def __missing__(self, described: Sequence[Any]) -> ValueType:
        datatype, arraysize, xtype, description, utype, unit, ucd = described
        made = self[described] = value_type(
            datatype, arraysize, xtype, unit=unit, ucd=ucd, utype=utype, description=description
        )
        return made


def _columns(
    rows: Sequence[_ColumnRow],
    existing: Mapping[str, str],
    sql_names: Mapping[tuple[str, str], str],
    types: _Types,
) -> tuple[ColumnMetadata, ...]:
    """Return the columns of a table."""
    region = _first_existing(_REGION_COLUMNS, existing)
    center = _first_existing(_CENTER_COLUMNS, existing)
    names = [row[1] if row[1].isidentifier() else split_name(row[1])[-1] for row in rows]
    spelled = [existing.get(name) or existing.get(name.lower(), name) for name in names]
    if sql_names:
        spelled = [sql_names.get((row[0], row[1])) or name for row, name in zip(rows, spelled, strict=True)]
    made = tuple(
        [
            _new_column((name, types[row[2:9]], sql_name, bool(row[9]), None, None, None, row[:2], None))
            for row, name, sql_name in zip(rows, names, spelled, strict=True)
        ]
    )
    mocs = {name: hidden for name, hidden in _MOC_COLUMNS.items() if hidden in existing}
    if mocs:
        made = tuple(
            [
                _with_geometry(column, mocs[column.name], None) if column.name in mocs else column
                for column in made
            ]
        )
    if region is not None or center is not None:
        return tuple(
            _with_geometry(column, region, center) if column.name.lower() == "s_region" else column
            for column in made
        )
    return made


def _with_geometry(column: ColumnMetadata, region: str | None, center: str | None) -> ColumnMetadata:
    """Return the column of regions with the hidden columns beside it."""
    type_ = column.type
    if region is not None and type_.family == "string":
        # The database holds the geometry: the text can be searched, though nothing says so of its type.
        type_ = replace(type_, family="region")
    return column._replace(type=type_, region_column=region, center_column=center)


def _positions(columns: Iterable[ColumnMetadata], existing: Mapping[str, str]) -> tuple[Position, ...]:
    center = _first_existing(_CENTER_COLUMNS, existing)
    if center is None:
        return ()
    names = {column.name.lower() for column in columns}
    if not {"s_ra", "s_dec"} <= names:
        return ()
    # Butler's regions are convex: the centre lies inside.
    region = existing.get("pgs_region") if center == "pgs_center" else None
    return (Position("s_ra", "s_dec", center, region),)


def _in_order(rows: list[_ColumnRow]) -> list[_ColumnRow]:
    """Return the columns of a table by their index, those without one last: usually as they come."""
    places = [row[12] for row in rows]
    if None not in places and places == sorted(places):
        return rows
    return sorted(rows, key=lambda row: (row[12] is None, row[12] or 0))


def _spelling(name: str, names: Mapping[str, Any]) -> str:
    if name in names:
        return name
    return next((known for known in names if known.lower() == name.lower()), name)


def _first_existing(names: Iterable[str], existing: Mapping[str, str]) -> str | None:
    return next((existing[name] for name in names if name in existing), None)
