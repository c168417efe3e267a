"""A query of TAP with its uploads, from its text to the bytes of its result, now or in a job."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import IO, Annotated, Any, Literal

import psycopg
from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from adql import CompiledQuery, Limits, Metadata, Query, Server, parse, to_postgres
from adql.dialect import dialect_named
from adql.metadata import OutputColumn
from adql.names import split_name
from tap_query.errors import SnapshotParameterError
from tap_query.execute import Session
from tap_query.formats import FORMATS, DocumentFacts, Format, ResultStream, stream_result
from tap_query.recording import RecordedRelease, Recording, RecordRequest, load_recorders
from tap_query.uploads.source import FetchPolicy, Upload, open_upload
from tap_query.uploads.tables import UploadLimits, create_uploads
from tapdb.hooks.descriptions import ParameterDescription, ServiceDescription
from tapdb.settings import FROM_ENVIRONMENT
from tapdb.votable import Param, ServiceDescriptor

LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")
"""Values of LANG that mean ADQL, the usual one first."""

# XML that was packed may be twice the size of what was sent.
_UNPACKED = 2


def _words(value: object) -> object:
    """Return a setting that is a list as its parts."""
    return tuple(one.strip() for one in value.split(",") if one.strip()) if isinstance(value, str) else value


def _without_slash(text: str) -> str:
    return text.rstrip("/")


class QuerySettings(BaseSettings):
    """What queries may do, as the environment says it: of the service, and of workers of its jobs."""

    model_config = FROM_ENVIRONMENT

    role: str = Field(
        default="tapdb_reader",
        description="Role in which queries run; the user of the database has to be a member of it.",
    )
    group_roles: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        default=(),
        description="Roles of users by their groups: GROUP=ROLE, separated by commas; the first that fits "
        "counts. Such a role sees what is not released yet.",
    )
    dialect: Literal["strict", "rubin"] = Field(
        default="rubin",
        description="What is tolerated beyond ADQL 2.1; rubin has scisql_* functions and AS distance.",
    )
    base_url: Annotated[str, AfterValidator(_without_slash)] = Field(
        default="",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        description="URL of the service as clients see it; without it what each request says, "
        "and of a job the one that has queued it.",
    )
    maxrec: int = Field(default=100_000, ge=0, description="Rows of a query that does not say MAXREC.")
    max_rows: int = Field(default=10_000_000, ge=1, description="Maximum number of rows of a query.")
    max_bytes: int = Field(
        default=20_000_000_000, ge=1, description="Maximum size of a result, in bytes as it is sent."
    )
    upload_bytes: int = Field(
        default=100_000_000, ge=1, description="Maximum size of a request with its uploads, in bytes."
    )
    upload_rows: int = Field(
        default=1_000_000, ge=0, description="Maximum number of rows of an uploaded table; 0 refuses uploads."
    )
    upload_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(),
        description="Hosts, separated by commas, from which tables are fetched that users name by URL.",
    )
    upload_private: bool = Field(
        default=False, description="Whether such hosts may be in private networks or be this machine."
    )

    @field_validator("group_roles", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = []
        for part in filter(None, map(str.strip, value.split(","))):
            group, equals, role = (one.strip() for one in part.partition("="))
            if not (group and equals and role):
                raise ValueError(f'"{part}" is not GROUP=ROLE')
            found.append((group, role))
        return tuple(found)

    def role_of(self, groups: Collection[str]) -> str:
        """Return the role in which queries of a user run, by the user's groups."""
        return next((role for group, role in self.group_roles if group in groups), self.role)

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles in which queries run, that of most users first."""
        return tuple(dict.fromkeys((self.role, *(role for _, role in self.group_roles))))

    @property
    def upload_limits(self) -> UploadLimits:
        """How large uploaded tables may be."""
        return UploadLimits(max_bytes=_UNPACKED * self.upload_bytes, max_rows=self.upload_rows)

    @property
    def fetch_policy(self) -> FetchPolicy:
        """From where tables are fetched."""
        return FetchPolicy(
            hosts=frozenset(self.upload_hosts),
            allows_private=self.upload_private,
            max_bytes=self.upload_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TapQuery:
    """A query as it was sent.

    Attributes
    ----------
    text
        ADQL.
    dialect
        What is tolerated beyond ADQL 2.1.
    max_rows
        Maximum number of rows.
    timeout_ms
        Milliseconds that it may take; 0 for no limit.
    format
        Format of the result.
    gzip
        Whether it is compressed.
    uploads
        Tables that it brings.
    limits
        How large those may be.
    policy
        From where they are fetched.
    snapshot
        State of versioned tables that it is to see, as the request names it; empty for the present one.
    release
        What decided which rows were seen, of a result that is to come again; `None` for a new one.
    exact_sums
        Whether floating-point numbers are added up in a fixed order.
    facts
        What the result says beside its rows.
    ucds
        UCDs of columns of the result in place of those that are published, by name of the column.
    base_url
        URL of the service, without a slash at the end: descriptors lead there. Empty if nobody knows.
    """

    text: str
    dialect: str
    max_rows: int
    timeout_ms: int
    format: Format = FORMATS[0]
    gzip: bool = False
    uploads: tuple[Upload, ...] = ()
    limits: UploadLimits = field(default_factory=UploadLimits)
    policy: FetchPolicy = field(default_factory=FetchPolicy)
    snapshot: str = ""
    release: RecordedRelease | None = None
    exact_sums: bool = False
    facts: DocumentFacts = field(default_factory=DocumentFacts)
    ucds: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""

    @property
    def has_uploads(self) -> bool:
        """Whether it brings tables."""
        return bool(self.uploads)


def with_uploads(
    connection: psycopg.Connection[Any], query: TapQuery, metadata: Metadata, parts: Mapping[str, IO[bytes]]
) -> Metadata:
    """Make tables of the uploads of a query, and return what it may name then.

    Parameters
    ----------
    connection
        Connection in no transaction; the tables live as long as the one that begins here.
    query
        The query.
    metadata
        What it may name beside its uploads.
    parts
        Files that came with the request, by the name that ``param:`` has.

    Raises
    ------
    AdqlError
        Raised for a query that cannot be read: it needs no tables.
    UploadError
        Raised for an upload that cannot be used.
    """
    if not query.uploads:
        return metadata
    parse(query.text, dialect=dialect_named(query.dialect))
    with ExitStack() as stack:
        files = {
            one.name: stack.enter_context(open_upload(one, parts, query.policy)) for one in query.uploads
        }
        return metadata.with_tables(create_uploads(connection, files, query.limits))


def compile_query(query: TapQuery, metadata: Metadata, server: Server) -> CompiledQuery:
    """Return a query as SQL: what is wrong with it is found here.

    Parameters
    ----------
    query
        The query.
    metadata
        What it may name.
    server
        What the database can do.

    Raises
    ------
    AdqlError
        Raised for a query that cannot be used.
    """
    return _compiled(query, _parsed(query), metadata, server)


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A query that can be run.

    Attributes
    ----------
    compiled
        It as SQL.
    recording
        What records its result; `None` for a result without a record.
    """

    compiled: CompiledQuery
    recording: Recording | None = None


def prepare_query(
    query: TapQuery,
    metadata: Metadata,
    server: Server,
    connect: Callable[[], psycopg.Connection[Any]],
    parts: Mapping[str, IO[bytes]],
) -> PreparedQuery:
    """Return a query as SQL, with its uploads in tables, and what records it.

    Parameters
    ----------
    query, metadata, server
        As for `compile_query`.
    connect
        Returns the connection on which it will be run, in no transaction; called where it is needed before.
    parts
        As for `with_uploads`.

    Raises
    ------
    AdqlError
        Raised for a query that cannot be used.
    SnapshotParameterError
        Raised if a snapshot is wanted of a query over tables that are not versioned.
    UploadError
        Raised for an upload that cannot be used.
    """
    tree = _parsed(query)

    def add_uploads() -> Metadata:
        return with_uploads(connect(), query, metadata, parts) if query.uploads else metadata

    # Protocols with UCDs of their own have other columns than their query.
    for recorder in () if query.ucds else load_recorders():
        if recorder.covers(tree, metadata):
            recording = recorder.prepare(RecordRequest(connect(), query, tree, metadata, server, add_uploads))
            if recording is not None:
                return PreparedQuery(recording.compiled, recording)
    if query.snapshot:
        raise SnapshotParameterError(
            query.snapshot, "the query names no table that is versioned", "leave it out"
        )
    return PreparedQuery(_compiled(query, tree, add_uploads(), server))


def _parsed(query: TapQuery) -> Query:
    return parse(query.text, dialect=dialect_named(query.dialect))


def _compiled(query: TapQuery, tree: Query, metadata: Metadata, server: Server) -> CompiledQuery:
    if query.exact_sums:
        server = replace(server, exact_sums=True)
    compiled = to_postgres(tree, metadata, Limits(max_rows=query.max_rows), server=server)
    if not query.ucds:
        return compiled
    columns = (replace(one, ucd=query.ucds.get(one.name, one.ucd)) for one in compiled.columns)
    return replace(compiled, columns=tuple(columns))


def stream_query(
    connection: psycopg.Connection[Any],
    query: TapQuery,
    prepared: CompiledQuery | PreparedQuery,
    services: Iterable[ServiceDescription] = (),
) -> ResultStream:
    """Run a query, and give the bytes of its result.

    Parameters
    ----------
    connection
        Connection on which its uploads are; the transaction is the caller's to end.
    query
        The query.
    prepared
        What `prepare_query` made of it, or `compile_query`.
    services
        Services that take values of published columns: the result describes those whose columns it has.
    """
    if isinstance(prepared, CompiledQuery):
        prepared = PreparedQuery(prepared)
    described = descriptors_of(services, prepared.compiled.columns, query.base_url)
    facts = replace(query.facts, services=(*query.facts.services, *described))
    return stream_result(
        connection,
        prepared.compiled,
        format=query.format,
        max_rows=query.max_rows,
        session=Session(timeout_ms=query.timeout_ms),
        facts=_recorded(facts, prepared.recording),
        gzip=query.gzip,
    )


def _recorded(facts: DocumentFacts, recording: Recording | None) -> DocumentFacts:
    """Return what a result says beside its rows, with its record if it has one."""
    if recording is None:
        return facts
    return replace(
        facts,
        infos=(*facts.infos, *recording.infos),
        services=(*facts.services, *recording.services),
        watch=recording.watch,
    )


def descriptors_of(
    services: Iterable[ServiceDescription], columns: Sequence[OutputColumn], base_url: str
) -> tuple[ServiceDescriptor, ...]:
    """Return descriptors of the services whose columns are all in a result (DataLink 1.1 section 4).

    Parameters
    ----------
    services
        Services that take values of published columns.
    columns
        Columns of the result.
    base_url
        URL of the service, without a slash at the end; if it is empty, services at a path are left out.
    """
    found = []
    by_table: dict[tuple[str, ...], dict[str, str]] = {}
    for column in columns:
        if column.table is not None and column.column is not None and column.identifier is not None:
            # Of a column that is there twice, the first has the identifier.
            table = by_table.setdefault(tuple(map(str.lower, split_name(column.table))), {})
            table[split_name(column.column)[-1].lower()] = column.identifier
    for service in services:
        references = by_table.get((service.schema.lower(), service.table.lower()), {})
        needed = {one.column.lower() for one in service.parameters if one.column is not None}
        is_reached = base_url or not service.access_url.startswith("/")
        if needed and needed <= references.keys() and is_reached:
            found.append(service_descriptor(service, references, base_url))
    return tuple(found)


def service_descriptor(
    service: ServiceDescription, references: Mapping[str, str], base_url: str
) -> ServiceDescriptor:
    """Return the descriptor of a service.

    Parameters
    ----------
    service
        The service.
    references
        IDs of FIELDs by the names of their columns, in lower case or as the service spells them.
    base_url
        Where a path leads.
    """
    url = service.access_url
    facts = {
        "accessURL": base_url + url if url.startswith("/") else url,
        "standardID": service.standard_id,
        "resourceIdentifier": service.resource_identifier,
        "contentType": service.content_type,
    }
    return ServiceDescriptor(
        identifier=service.id,
        description=service.description or "",
        params=tuple(Param(name, value) for name, value in facts.items() if value),
        inputs=tuple(_input(one, references) for one in service.parameters),
    )


def _input(parameter: ParameterDescription, references: Mapping[str, str]) -> Param:
    column = parameter.column
    value = parameter.value or ""
    return Param(
        parameter.name,
        value,
        None if column is None else references.get(column) or references[column.lower()],
        datatype=parameter.datatype if value.isascii() or parameter.datatype != "char" else None,
        arraysize=parameter.arraysize,
        xtype=parameter.xtype,
        unit=parameter.unit,
    )
