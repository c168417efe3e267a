"""A query of TAP with its uploads, from its text to the bytes of its result, now or in a job."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import IO, Annotated, Any, Literal

import psycopg
from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from adql import CompiledQuery, Limits, Metadata, Server, parse, to_postgres
from adql.dialect import dialect_named
from tap_query.execute import Session
from tap_query.formats import FORMATS, DocumentFacts, Format, ResultStream, stream_result
from tap_query.uploads.source import FetchPolicy, Upload, open_upload
from tap_query.uploads.tables import UploadLimits, create_uploads
from tapdb.settings import FROM_ENVIRONMENT

LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")
"""Values of LANG that mean ADQL, the usual one first."""

# XML that was packed may be twice the size of what was sent.
_UNPACKED = 2


def _words(value: object) -> object:
    """Return a setting that is a list as its parts."""
    return tuple(one.strip() for one in value.split(",") if one.strip()) if isinstance(value, str) else value


class QuerySettings(BaseSettings):
    """What queries may do, as the environment says it: of the service, and of workers of its jobs."""

    model_config = FROM_ENVIRONMENT

    role: str = Field(
        default="tapdb_reader",
        description="Role in which queries run; the user of the database has to be a member of it.",
    )
    dialect: Literal["strict", "rubin"] = Field(
        default="rubin",
        description="What is tolerated beyond ADQL 2.1; rubin has scisql_* functions and AS distance.",
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
    facts
        What the result says beside its rows.
    ucds
        UCDs of columns of the result in place of those that are published, by name of the column.
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
    facts: DocumentFacts = field(default_factory=DocumentFacts)
    ucds: Mapping[str, str] = field(default_factory=dict)


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
    tree = parse(query.text, dialect=dialect_named(query.dialect))
    compiled = to_postgres(tree, metadata, Limits(max_rows=query.max_rows), server=server)
    if not query.ucds:
        return compiled
    columns = (replace(one, ucd=query.ucds.get(one.name, one.ucd)) for one in compiled.columns)
    return replace(compiled, columns=tuple(columns))


def stream_query(
    connection: psycopg.Connection[Any], query: TapQuery, compiled: CompiledQuery
) -> ResultStream:
    """Run a query, and give the bytes of its result.

    Parameters
    ----------
    connection
        Connection on which its uploads are; the transaction is the caller's to end.
    query
        The query.
    compiled
        What `compile_query` made of it.
    """
    return stream_result(
        connection,
        compiled,
        format=query.format,
        max_rows=query.max_rows,
        session=Session(timeout_ms=query.timeout_ms),
        facts=query.facts,
        gzip=query.gzip,
    )
