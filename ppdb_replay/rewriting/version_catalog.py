"""What queries can name, and which of it has versions: all that rewriting has to know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from adql import AdqlNameError, Column, Identifier, Metadata, Table, TableMetadata, walk
from adql.guards import Guard, with_guards
from adql.names import identifier_of
from adql.tree import AllColumns, And, Comparison, Condition, Expression, Number, Select
from adql.types import GEOMETRIES

# How many names a catalog remembers: queries of a service name the same tables.
_MOST_FOUND = 1000
_NOT_ORDERED = GEOMETRIES | {"array", "binary", "any"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of a relation or of a result.

    Parameters
    ----------
    name
        Its name; empty for a computed value without one.
    expression
        What it is in the select list; `None` for a column that ``*`` stands for.
    is_ordered
        Whether rows can be ordered by it.
    source
        Of a column that ``*`` stands for, what stands before the columns of its relation; empty for all
        others, and for columns that USING or NATURAL merges.
    """

    name: str
    expression: Expression | None = None
    is_ordered: bool = True
    source: tuple[Identifier, ...] = ()


def shown_columns(table: TableMetadata) -> tuple[Shown, ...]:
    """Return the columns of a published table."""
    return tuple(
        Shown(column.name, is_ordered=column.type.family not in _NOT_ORDERED) for column in table.columns
    )


SNAP_FROM = "snap_from"
SNAP_TO = "snap_to"

# Primary keys of the replicated tables of sdm_schemas' apdb.yaml, which TAP_SCHEMA does not tell. The start
# of validity has had two names, and a table that holds only the latest versions can do without it.
_VERSION_COLUMNS = ("validityStartMjdTai", "validityStart")
PPDB_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "DiaObject": ("diaObjectId", *_VERSION_COLUMNS),
        "DiaSource": ("diaSourceId",),
        "DiaForcedSource": ("diaObjectId", "visit", "detector"),
        "SSObject": ("ssObjectId",),
        "SSSource": ("diaSourceId",),
    }
)
# Columns of the validity interval, the newest names first: they were timestamps up to version 8.
_VALIDITY_COLUMNS = (
    ("validityStartMjdTai", "validityEndMjdTai", "mjd"),
    ("validityStart", "validityEnd", "timestamp"),
)


@dataclass(frozen=True, slots=True)
class Validity:
    """The columns that say from when to when the pipelines take a row for the valid one of its object.

    Parameters
    ----------
    start, end
        Names of the columns, TAI; no `end` in a schema that has none.
    form
        ``mjd``, or ``timestamp`` for columns of that type.
    """

    start: str
    end: str | None
    form: str = "mjd"


@dataclass(frozen=True, slots=True)
class ClockFunction:
    """A function of a service that returns the present time.

    Parameters
    ----------
    name
        Name in queries; case does not matter.
    form
        ``mjd`` or ``timestamp``.
    scale
        ``tai`` or ``utc``.
    """

    name: str
    form: str = "mjd"
    scale: str = "tai"


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalTable:
    """A table whose rows know by which snapshots they can be seen.

    Parameters
    ----------
    name
        Published name of the table that natural queries read, in parts.
    history
        Published name of the table with all versions of its rows.
    columns
        Columns of the natural table, in the order of ``SELECT *``; without ``snap_from`` and ``snap_to``.
    key
        Columns that tell its rows apart in every snapshot; empty if they are not known.
    validity
        Its validity interval, if it has one.
    """

    name: tuple[str, ...]
    history: tuple[str, ...]
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    validity: Validity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCatalog:
    """What a service publishes in one version of its schema, and which of its tables are versioned.

    Parameters
    ----------
    tables
        The versioned tables.
    metadata
        All that is published, the versioned tables under both of their names.
    clocks
        Functions that return the present time.
    schema_version
        Version of the schema, as a replay record names it.
    restricted
        Published names, natural ones, of versioned tables whose rows are seen when they are released.
    guards
        What shows what is released of them, by names of schema and table in the database.
    """

    tables: tuple[NaturalTable, ...]
    metadata: Metadata
    clocks: tuple[ClockFunction, ...] = ()
    schema_version: str = ""
    restricted: frozenset[tuple[str, ...]] = frozenset()
    guards: Mapping[tuple[str, str], Guard] = field(default_factory=dict)
    _natural: Mapping[tuple[str, ...], NaturalTable] = field(init=False, compare=False, repr=False)
    _history: Mapping[tuple[str, ...], NaturalTable] = field(init=False, compare=False, repr=False)
    _shown: Mapping[tuple[str, ...], tuple[Shown, ...]] = field(init=False, compare=False, repr=False)
    _found: dict[tuple[Identifier, ...], TableMetadata | None] = field(
        init=False, compare=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        natural = {table.name: table for table in self.tables}
        history = {table.history: table for table in self.tables}
        object.__setattr__(self, "_natural", MappingProxyType(natural))
        object.__setattr__(self, "_history", MappingProxyType(history))
        shown = {}
        for table in self.metadata.tables:
            known = natural.get(table.name)
            columns = shown_columns(table)
            if known is not None:
                columns = tuple(column for column in columns if column.name in known.columns)
            shown[table.name] = columns
        object.__setattr__(self, "_shown", MappingProxyType(shown))

    def find(self, name: tuple[Identifier, ...]) -> TableMetadata | None:
        """Return the published table that a name means, or `None`.

        Raises
        ------
        AdqlNameError
            It can mean several, and one of them is versioned.
        """
        if name in self._found:
            return self._found[name]
        found = self.metadata.find_tables(name)
        if len(found) > 1 and any(self.versioned(table) or self.versions(table) for table in found):
            shown = ".".join(part.text for part in name)[:64]
            known = " or ".join(sorted(".".join(table.name) for table in found)[:5])
            raise AdqlNameError(f"table {shown} is ambiguous", f"it can be {known}")
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
        return self._found.setdefault(name, found[0] if len(found) == 1 else None)

    def versioned(self, table: TableMetadata) -> NaturalTable | None:
        """Return the versioned table whose natural name a published table has."""
        return self._natural.get(table.name)

    def versions(self, table: TableMetadata) -> NaturalTable | None:
        """Return the versioned table whose history a published table is."""
        return self._history.get(table.name)

    def shown(self, table: TableMetadata) -> tuple[Shown, ...]:
        """Return the columns that ``SELECT *`` shows of a published table."""
        return self._shown[table.name]

    def find_clock(self, function: str) -> ClockFunction | None:
        """Return what is known of a function that returns the present time."""
        return next((clock for clock in self.clocks if clock.name.lower() == function.lower()), None)

    def as_released(self) -> VersionCatalog:
        """Return the same catalog for queries that see what is released, even if their role may see more."""
        return replace(self, metadata=with_guards(self.metadata, self.guards))

    def with_tables(self, tables: Iterable[TableMetadata]) -> VersionCatalog:
        """Return the same catalog with more published tables, such as the uploads of one request."""
        return replace(self, metadata=self.metadata.with_tables(tables))


def build_catalog(
    metadata: Metadata,
    *,
    natural_schema: str = "ppdb",
    history_schema: str = "ppdb_history",
    keys: Mapping[str, tuple[str, ...]] = PPDB_KEYS,
    clocks: Iterable[ClockFunction] = (),
    schema_version: str = "",
    restricted: Collection[str] = (),
    guards: Mapping[tuple[str, str], Guard] = MappingProxyType({}),
) -> VersionCatalog:
    """Return the catalog of a service whose tables of old versions are in a schema of their own.

    A table is versioned if the history schema publishes one of the same name with ``snap_from`` and
    ``snap_to``. From then on the name without a schema means the natural table.

    Parameters
    ----------
    metadata
        All that the service publishes.
    natural_schema, history_schema
        Published names of the two schemas.
    keys
        Columns that tell rows apart, by table name.
    clocks, schema_version
        As in `VersionCatalog`.
    restricted
        Names of tables whose rows are seen when they are released.
    guards
        As in `VersionCatalog`.
    """
    histories = {
        table.name[-1]: table
        for table in metadata.tables
        if table.name[-2:-1] == (history_schema,) and {SNAP_FROM, SNAP_TO} <= _names(table)
    }
    tables = tuple(
        _versioned(table, histories[table.name[-1]], keys)
        for table in metadata.tables
        if table.name[-2:-1] == (natural_schema,) and table.name[-1] in histories
    )
    hidden = {table.history for table in tables}
    marked = tuple(
        replace(table, by_full_name=True) if table.name in hidden else table for table in metadata.tables
    )
    return VersionCatalog(
        tables=tables,
        metadata=Metadata(marked, metadata.functions),
        clocks=tuple(clocks),
        schema_version=schema_version,
        restricted=frozenset(table.name for table in tables if table.name[-1] in restricted),
        guards=guards,
    )


def column_identifiers(names: Iterable[str]) -> tuple[Identifier, ...]:
    """Return names of columns as they have to be written in a query."""
    return tuple(map(identifier_of, names))


def _versioned(
    table: TableMetadata, history: TableMetadata, keys: Mapping[str, tuple[str, ...]]
) -> NaturalTable:
    names = _names(table)
    wanted = keys.get(table.name[-1], ())
    key = tuple(name for name in wanted if name in names)
    return NaturalTable(
        name=table.name,
        history=history.name,
        columns=tuple(column.name for column in table.columns if column.name not in (SNAP_FROM, SNAP_TO)),
        key=key if {*key, *_VERSION_COLUMNS} >= set(wanted) else (),
        validity=next(
            (
                Validity(start, end if end in names else None, form)
                for start, end, form in _VALIDITY_COLUMNS
                if start in names
            ),
            None,
        ),
    )


def _names(table: TableMetadata) -> set[str]:
    return {column.name for column in table.columns}


def snapshot_seen(select: Select) -> int | None:
    """Return the snapshot that a SELECT over one table of versions always sees by itself.

    `None` if what it returns can change; a row's ``snap_to`` does, once, when the row is replaced.

    Parameters
    ----------
    select
        For example ``SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 41 AND snap_to > 41``.
    """
    where = select.where
    if where is None or len(select.tables) > 1 or not isinstance(select.tables[0], Table):
        return None
    if any(isinstance(item, AllColumns) for item in select.items):
        return None
    begun = _bounds(where, SNAP_FROM, "<=")
    if not begun:
        return None
    replaced = _bounds(where, SNAP_TO, "<=")
    if replaced:
        return min(replaced)
    current = begun & _bounds(where, SNAP_TO, ">")
    named = sum(isinstance(node, Column) and node.name.text.lower() == SNAP_TO for node in walk(select))
    if current:
        return min(current) if named == 1 else None
    return min(begun) if named == 0 else None


def sees_one_version(select: Select) -> bool:
    """Return whether a SELECT over one table of versions sees one version of each row at most.

    Parameters
    ----------
    select
        As in `snapshot_seen`.
    """
    where = select.where
    return where is not None and bool(_bounds(where, SNAP_FROM, "<=") & _bounds(where, SNAP_TO, ">"))


def _bounds(where: Condition, name: str, operator: str) -> set[int]:
    """Return the numbers in ``name operator number``."""
    conditions = where.operands if isinstance(where, And) else (where,)
    return {
        int(condition.right.text)
        for condition in conditions
        if isinstance(condition, Comparison)
        and condition.operator == operator
        and isinstance(condition.left, Column)
        and condition.left.name.text.lower() == name
        and isinstance(condition.right, Number)
        and condition.right.text.isdigit()
    }
