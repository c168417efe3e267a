"""What packages say of the tables that they make, for TAP_SCHEMA and DataLink, and links of their rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol
from urllib.parse import unquote
from uuid import UUID

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


LINKS_GROUP = "tapdb.links"
"""Entry-point group of links: each is a `LinkProvider`."""

LINKS_TABLE = ("datalink", "links")
"""Schema and table of a `ServiceDescription` whose columns are those of links, such as ``ID``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProvider:
    """Links that a package knows of: SQL functions that ``tapdb.links`` calls, and services that rows name.

    Attributes
    ----------
    identify
        Name of a function ``(dids text[])`` that returns ``number integer, target jsonb`` for the identifiers
        that it knows, by their place in the array: ``kind`` and what links are made of, or ``error``; `None`
        if the package has no identifiers of its own.
    link
        Name of a function ``(targets jsonb)`` that returns rows of links of the targets of all packages, as
        ``sql/functions/tapdb.links.sql`` says; `None` if the package only identifies.
    services
        Services that ``service_def`` of such rows may name (DataLink 1.1 section 4), of `LINKS_TABLE`.
    """

    identify: str | None = None
    link: str | None = None
    services: tuple[ServiceDescription, ...] = ()


class Link(NamedTuple):
    """A link of an identifier; the columns of DataLink 1.1 section 3.2, less those of authorization.

    An ``access_url`` that is a path is relative to the service; ``/files/REPOSITORY/UUID`` is a file, with
    ``embargoed=true`` behind it if it is not released yet.
    """

    id: str
    access_url: str | None = None
    service_def: str | None = None
    error_message: str | None = None
    semantics: str = "#this"
    description: str | None = None
    content_type: str | None = None
    content_length: int | None = None
    content_qualifier: str | None = None
    local_semantics: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFile:
    """A file of a dataset, as a Butler registry has it.

    Attributes
    ----------
    dataset
        UUID of the dataset.
    repository
        Label of the repository.
    component
        Component of a dataset that is stored in parts; `None` for the whole.
    path
        Where it is: relative to the root of the datastore, or a URL; ``#zip-path=`` and a name behind it for
        a member of a ZIP.
    size, checksum
        What the datastore has recorded, if it has.
    content_type
        Its media type.
    is_embargoed
        Whether the dataset is not released yet.
    """

    dataset: UUID
    repository: str
    component: str | None
    path: str
    size: int | None
    checksum: str | None
    content_type: str
    is_embargoed: bool = False


def load_link_providers() -> dict[str, LinkProvider]:
    """Return the links that the installed packages know of, by name, in the order of names."""
    found = {entry.name: entry for entry in entry_points(group=LINKS_GROUP)}
    return {name: found[name].load() for name in sorted(found)}


def read_links(
    connection: sa.Connection, dids: Sequence[str], providers: Iterable[LinkProvider]
) -> tuple[Link, ...]:
    """Return the links of identifiers, in their order; an error row for one of which nothing is known.

    Parameters
    ----------
    connection
        Connection whose role sees what may be linked.
    dids
        Identifiers of any form.
    providers
        What makes links.
    """
    providers = tuple(providers)
    texts = sa.ARRAY(sa.Text())
    # PostgreSQL has no text with NUL in it.
    values = (
        [one.replace("\0", "\ufffd") for one in dids],
        [one.identify for one in providers if one.identify is not None],
        [one.link for one in providers if one.link is not None],
    )
    function = sa.func.tapdb.links(*(sa.cast(sa.literal(value, texts), texts) for value in values))
    rows = connection.execute(sa.select(function.table_valued(*Link._fields)))
    return tuple(map(Link._make, rows))


def read_dataset_files(connection: sa.Connection, dataset: UUID) -> tuple[DatasetFile, ...] | None:
    """Return the files of a dataset; `None` if the role of the connection sees no such dataset.

    Parameters
    ----------
    connection
        Connection.
    dataset
        Its UUID.
    """
    function = sa.func.tapdb.published_datasets(sa.cast(sa.literal([dataset]), sa.ARRAY(sa.Uuid())))
    known = function.table_valued("repository", sa.column("files", sa.JSON()))
    row = connection.execute(sa.select(known.c.repository, known.c.files)).first()
    return None if row is None else tuple(_files(dataset, row.repository, row.files))


def _files(
    dataset: UUID, repository: str | None, files: Iterable[Mapping[str, object]]
) -> Iterator[DatasetFile]:
    for file in files:
        if "path" not in file:
            # What has become of files that are not there.
            continue
        size, checksum, component = (file.get(name) for name in ("size", "checksum", "component"))
        yield DatasetFile(
            dataset=dataset,
            repository=unquote(repository or ""),
            component=None if component is None else str(component),
            path=str(file["path"]),
            size=size if isinstance(size, int) else None,
            checksum=None if checksum is None else str(checksum),
            content_type=str(file["type"]),
            is_embargoed=bool(file.get("embargoed")),
        )
