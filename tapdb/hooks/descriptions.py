"""What packages say of the tables that they make, in terms of TAP_SCHEMA and DataLink."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Protocol

import sqlalchemy as sa

from tapdb.errors import DescriptionProblem, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDescription:
    """An input of a service: the value of a column, a constant, or what the user gives.

    Attributes
    ----------
    name
        Name of the parameter.
    column
        Column of the table that gives the value.
    value
        Constant value.
    datatype, arraysize, xtype, unit, ucd
        Type and kind, where no column says it.
    description
        Meaning.
    place
        Where this description stands.
    """

    name: str
    column: str | None = None
    value: str | None = None
    datatype: str = "char"
    arraysize: str | None = "*"
    xtype: str | None = None
    unit: str | None = None
    ucd: str | None = None
    description: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescription:
    """A service that takes values from rows of a table: a DataLink service descriptor.

    Attributes
    ----------
    id
        Identifier of the descriptor.
    schema, table
        Table whose rows it takes values of, as in the database.
    access_url
        URL; a path is relative to the site that publishes the table.
    standard_id, resource_identifier
        IVOA identifiers of the standard that it follows, and of the service.
    content_type
        Media type of what it returns.
    description
        Meaning.
    parameters
        Its inputs.
    place
        Where this description stands.
    """

    id: str
    schema: str
    table: str
    access_url: str
    standard_id: str | None = None
    resource_identifier: str | None = None
    content_type: str | None = None
    description: str | None = None
    parameters: tuple[ParameterDescription, ...] = ()
    place: Place | None = None


GROUP = "tapdb.descriptions"

STANDARDS_GROUP = "tapdb.standards"
"""Entry-point group of tables that a standard defines: each is a `StandardTable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDescription:
    """What a column means.

    Attributes
    ----------
    name
        Name as it is to be published; case does not matter for finding the column in the database.
    datatype, arraysize, xtype
        Type in VOTable that the column should have; `None` for a datatype that only the database knows.
    unit
        VOUnits string.
    ucd
        UCD1+ words.
    utype
        Place in a data model.
    description
        Meaning, one sentence.
    principal, std
        Flags of TAP_SCHEMA: shown by default; defined by a standard.
    index
        Order within the table; `None` for the order of the descriptions.
    searched_by
        Column of the same relation that conditions on this one are answered by, such as the polygon beside
        a region in text; this one counts as indexed if that one is.
    place
        Where this description stands; `None` if it was read back from what is published: nobody then has to
        be told that the column is gone.
    """

    name: str
    datatype: str | None = None
    arraysize: str | None = None
    xtype: str | None = None
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    description: str | None = None
    principal: bool = False
    std: bool = False
    index: int | None = None
    searched_by: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """A foreign key that tables have by their meaning, whether the database enforces it or not.

    Attributes
    ----------
    name
        Name of the key, unique within its schema.
    columns
        Columns of the table that the key is described with.
    target_schema, target_table, target_columns
        What they refer to.
    description
        Meaning.
    utype
        Place in a data model.
    place
        Where this description stands.
    enforced
        Whether it is known from the database alone: it goes when the database has it no more.
    """

    name: str
    columns: tuple[str, ...]
    target_schema: str
    target_table: str
    target_columns: tuple[str, ...]
    description: str | None = None
    utype: str | None = None
    place: Place | None = None
    enforced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDescription:
    """What a table or view means.

    Attributes
    ----------
    name
        Name as it is to be published, without its schema.
    columns
        Its columns.
    keys
        Foreign keys from it.
    description
        Meaning.
    utype
        Data model of the table.
    index
        Order within the schema; `None` for the order of the descriptions.
    hidden
        Names of columns in the database that are not to be published.
    only_described
        Whether columns that nobody describes stay unpublished.
    place
        Where this description stands.
    optional
        Whether a database may do without the table: what packages describe is a stock.
    """

    name: str
    columns: tuple[ColumnDescription, ...] = ()
    keys: tuple[KeyDescription, ...] = ()
    description: str | None = None
    utype: str | None = None
    index: int | None = None
    hidden: frozenset[str] = frozenset()
    only_described: bool = False
    place: Place | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDescription:
    """What a schema means, or a part of its tables: several descriptions may share a schema.

    Attributes
    ----------
    name
        Name of the schema in the database.
    tables
        Tables.
    description
        Meaning.
    utype
        Data model of the schema.
    index
        Order among the schemas.
    only_described
        Whether tables of the schema that nobody describes stay unpublished.
    place
        Where this description stands.
    notes
        What in it was left out, as keys of a newer Felis.
    """

    name: str
    tables: tuple[TableDescription, ...] = ()
    description: str | None = None
    utype: str | None = None
    index: int | None = None
    only_described: bool = False
    place: Place | None = None
    notes: tuple[DescriptionProblem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FelisSource:
    """A Felis file that describes tables of a job, and what has to be added to it.

    Attributes
    ----------
    uri
        Path, or resource such as ``resource://lsst.sdm.schemas/ppdb.yaml``.
    schema
        Schema in the database, if it is not the one that the file names.
    description
        Meaning of the schema, if not that of the file.
    index
        Order among the schemas.
    hidden
        Names of columns that are not to be published, of all tables.
    hidden_in
        Names of columns that are not to be published, by name of the table.
    columns
        Columns that each table has besides those of the file.
    columns_in
        Columns that a table has besides, by its name.
    without
        Names of tables of the file that are not to be published.
    only_described
        Whether tables of the schema, and columns of its tables, that nobody describes stay unpublished.
    """

    uri: str
    schema: str | None = None
    description: str | None = None
    index: int | None = None
    hidden: frozenset[str] = frozenset()
    hidden_in: Mapping[str, frozenset[str]] = field(default_factory=dict)
    columns: tuple[ColumnDescription, ...] = ()
    columns_in: Mapping[str, tuple[ColumnDescription, ...]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    only_described: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardTable:
    """A table that a standard defines: what it must be like wherever it is published.

    Attributes
    ----------
    standard
        Name of the standard, for messages.
    schema, name
        Name of the table; case does not matter.
    columns
        Columns that it has or may have.
    mandatory
        Names of those that it must have.
    not_null
        Names of those that are never NULL.
    values
        Values that a column may have besides NULL, by name of the column.
    """

    standard: str
    schema: str
    name: str
    columns: tuple[ColumnDescription, ...]
    mandatory: frozenset[str]
    not_null: frozenset[str] = frozenset()
    values: Mapping[str, tuple[object, ...]] = field(default_factory=dict)


class Describer(Protocol):
    """A function that describes what its package has made in a database."""

    def __call__(
        self, connection: sa.Connection, /
    ) -> Iterable[SchemaDescription | FelisSource | ServiceDescription]:
        """Return descriptions of what is there; nothing if nothing is."""


def load_describers() -> dict[str, Describer]:
    """Return the describing functions of all installed packages by name, in the order of names."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    return {name: found[name].load() for name in sorted(found)}


def load_standards() -> tuple[StandardTable, ...]:
    """Return the tables of standards that the installed packages know, in the order of their names."""
    found = {entry.name: entry for entry in entry_points(group=STANDARDS_GROUP)}
    return tuple(found[name].load() for name in sorted(found))
