"""``tapdb tap-schema``: generate, lint, compare, publish, take back, describe services, write files."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import wraps
from typing import Any

import click
import sqlalchemy as sa

from tap_schema.assemble import assemble, check_by_felis
from tap_schema.datalink import read_services
from tap_schema.errors import UnpublishableError
from tap_schema.files import felis_text, vosi_tables
from tap_schema.generate.generate import Generated
from tap_schema.history import generation_before, plan_rollback, read_generations
from tap_schema.history import rollback as roll_back
from tap_schema.lint import check_values, lint_rows, once_a_file
from tap_schema.publish import Publication, grant_reading, plan_publication, require_publisher
from tap_schema.publish import publish as publish_rows
from tap_schema.rows import ROW_TYPES, TapSchemaRows
from tap_schema.script import Statement, diff_rows
from tap_schema.stored import read_rows, read_whole_rows
from tapdb.cli.output import (
    RowOutput,
    dry_run_option,
    format_option,
    output_option,
    output_stream,
    prints_rows,
    url_option,
)
from tapdb.cli.session import change_session
from tapdb.errors import SettingsError
from tapdb.hooks.descriptions import load_standards
from tapdb.postgres.engine import checked_connection, translate_database_errors
from tapdb.settings import read_settings
from tapdb.votable import write_csv

_FILES = click.argument("files", nargs=-1, metavar="[FILES]...")
_DATALINK = click.option(
    "--datalink",
    multiple=True,
    metavar="FILE",
    help="YAML file of service descriptors; may be given several times.",
)
_FORGET = click.option(
    "--forget",
    multiple=True,
    metavar="SCHEMA",
    help="Schema that is no longer to be published; may be given several times.",
)


@dataclass(frozen=True, slots=True)
class Sources:
    """What TAP_SCHEMA is to be made from, besides the database and what packages register.

    Attributes
    ----------
    files
        Felis files.
    datalink
        Files of service descriptors.
    forget
        Schemas that are no longer to be published.
    """

    files: tuple[str, ...]
    datalink: tuple[str, ...]
    forget: tuple[str, ...]

    def generate(self, connection: sa.Connection) -> Generated:
        """Return what TAP_SCHEMA should hold; files that Felis refuses are refused."""
        generated = assemble(
            connection, self.files, services=read_services(self.datalink), forget=self.forget
        )
        check_by_felis(self.files)
        return generated


@contextmanager
def read_session(url: str | None) -> Iterator[sa.Connection]:
    """Give a connection that changes nothing, and sees the database as it is now while others publish.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.

    Raises
    ------
    DatabaseRefusedError
        Raised for all that the database refuses, such as tables that one may not read.
    """
    with translate_database_errors(), checked_connection(url, read_only=True) as connection:
        yield connection.execution_options(isolation_level="REPEATABLE READ")


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments that say what TAP_SCHEMA is made from; the command gets them as ``sources``."""

    @wraps(command)
    def with_sources(
        files: tuple[str, ...], datalink: tuple[str, ...], forget: tuple[str, ...], **others: Any
    ) -> None:
        command(Sources(files, datalink, forget), **others)

    return _FILES(_DATALINK(_FORGET(with_sources)))


def print_script(publication: Publication) -> None:
    """Print the SQL of a publication as one transaction, for psql: the rows of a COPY stand in it."""
    if not publication.changes:
        return
    timeout = read_settings().lock_timeout_ms
    click.echo(f"BEGIN;\nSET LOCAL lock_timeout = {timeout};")
    for statement in publication.statements:
        click.echo(str(statement), nl=False)
    click.echo("COMMIT;")


@click.command()
@source_options
@url_option
@click.option(
    "--grant", is_flag=True, help="Let tapdb_reader read the described tables that it may not read yet."
)
@click.option("--strict", is_flag=True, help="Publish nothing if 'lint' finds an error.")
@click.option("-m", "--comment", metavar="TEXT", help="Why, for the record.")
@dry_run_option
def publish(
    sources: Sources,
    url: str | None,
    comment: str | None,
    *,
    grant: bool,
    strict: bool,
    dry_run: bool,
) -> None:
    """Make TAP_SCHEMA say what it should, in one transaction; readers never see it half done.

    Only what differs is written, and nothing if nothing does. Before it is committed the role tapdb_reader
    has to see all of it, and must be allowed to read every table that is published. Without FILES what is
    published is brought up to date with the database.
    """
    if dry_run:
        # What is granted here is never committed: it shows whether one may, and what would be published then.
        with (
            translate_database_errors(),
            checked_connection(url) if grant else read_session(url) as connection,
        ):
            generated, grants = _generated(sources, connection, grant=grant)
            _check(generated, strict=strict, grant=grant)
            publication = plan_publication(connection, generated.rows, comment=comment)
        print_script(replace(publication, statements=(*grants, *publication.statements)))
    else:
        with change_session(url, application_name="tapdb tap-schema") as connection:
            require_publisher(connection)
            generated, _ = _generated(sources, connection, grant=grant)
            _check(generated, strict=strict, grant=grant)
            publication = publish_rows(connection, generated.rows, comment=comment)
    _say(publication, generated, dry_run=dry_run)


@click.command()
@url_option
@click.option(
    "--to", type=click.IntRange(min=0), metavar="GENERATION", help="Default: the one before the last."
)
@click.option(
    "--yes", is_flag=True, help="Go back to before the first publication, when nothing was published."
)
@dry_run_option
def rollback(url: str | None, to: int | None, *, yes: bool, dry_run: bool) -> None:
    """Publish again what was in force after an earlier publication.

    That is a publication of its own: the record goes on, and a rollback can be taken back. Columns that have
    another type by now are refused. Generation 0, before the first publication, is an empty TAP_SCHEMA: no
    table can be queried then, so that --yes is needed.
    """
    if dry_run:
        with read_session(url) as connection:
            publication = plan_rollback(connection, to=to)
        print_script(publication)
    else:
        with change_session(url, application_name="tapdb tap-schema") as connection:
            require_publisher(connection)
            if not yes and generation_before(connection, to) == 0:
                raise SettingsError(
                    "--to 0" if to == 0 else "tap-schema rollback",
                    "nothing was published before the first publication: no table could be queried",
                    "add --yes if that is wanted, or name a generation: tapdb tap-schema history lists them",
                )
            publication = roll_back(connection, to=to)
    _say(publication, None, dry_run=dry_run)


def _generated(
    sources: Sources, connection: sa.Connection, *, grant: bool
) -> tuple[Generated, tuple[Statement, ...]]:
    """Return what TAP_SCHEMA should hold, and what was granted to the reader for it."""
    generated = sources.generate(connection)
    if not (grant and generated.unreadable):
        return generated, ()
    grants = grant_reading(connection, generated.unreadable)
    return sources.generate(connection), grants


def _check(generated: Generated, *, strict: bool, grant: bool) -> None:
    """Check that what was generated may be published.

    Raises
    ------
    UnpublishableError
        Raised if the reader may not read a described table, or if something is wrong and that is not allowed.
    """
    refused = [one for one in generated.findings if one.rule == "unreadable" and not grant]
    if strict:
        found = (
            *generated.findings,
            *lint_rows(generated.rows, places=generated.places, standards=load_standards()),
        )
        refused += [one for one in found if one.severity == "error" and one not in refused]
    if refused:
        raise UnpublishableError(list(map(str, refused)))


def _say(publication: Publication, generated: Generated | None, *, dry_run: bool) -> None:
    changes = publication.changes
    if not changes:
        click.echo("TAP_SCHEMA is up to date; nothing was written.", err=True)
    else:
        verb = "Would publish" if dry_run else "Published"
        click.echo(
            f"{verb}: {changes.inserted} rows added, {changes.updated} changed, {changes.deleted} removed.",
            err=True,
        )
    errors = sum(one.severity == "error" for one in generated.findings) if generated is not None else 0
    if errors:
        click.echo(
            f"{errors} descriptions do not fit the database; 'tapdb tap-schema lint' shows them.", err=True
        )


_GENERATION = (
    *("generation", "published_at", "row_count", "inserted", "updated", "deleted"),
    *("comment", "generator", "digest"),
)


@click.command()
@source_options
@url_option
@click.option(
    "--published", is_flag=True, help="Write what is published, not what would be; FILES do not count."
)
@click.option(
    "--schema", metavar="SCHEMA", help="Write this schema alone; Felis needs it if there are several."
)
@click.option(
    "--table",
    type=click.Choice(list(ROW_TYPES)),
    default="columns",
    show_default=True,
    help="Table of TAP_SCHEMA that CSV shows.",
)
@format_option("vosi", "felis", "csv", "json")
@output_option
def generate(
    sources: Sources,
    url: str | None,
    schema: str | None,
    table: str,
    form: str,
    output: str,
    *,
    published: bool,
) -> None:
    """Write what TAP_SCHEMA should hold: as VOSI tables (XML), Felis (YAML), CSV or JSON.

    Nothing is changed.
    """
    with read_session(url) as connection:
        rows = read_whole_rows(connection) if published else sources.generate(connection).rows
    if schema is not None:
        rows = _only(rows, schema)
    if form == "felis" and len(rows.schemas) != 1:
        known = ", ".join(row.schema_name for row in rows.schemas)
        raise SettingsError("--format felis", "a Felis file holds one schema", f"add --schema: {known}")
    with output_stream(output) as file:
        if form == "csv":
            write_csv(ROW_TYPES[table]._fields, rows.by_table()[table], file)
        else:
            file.writelines(piece.encode() for piece in _pieces(rows, form))


@click.command()
@source_options
@url_option
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option(
    "--values", is_flag=True, help="Read the tables of standards, too: forbidden values and NULLs in ObsCore."
)
@prints_rows
def lint(
    sources: Sources,
    url: str | None,
    rows: RowOutput,
    *,
    strict: bool,
    values: bool,
) -> None:
    """Say what is wrong with the descriptions, each with file, line, table, column and what to do.

    Checked are units (VOUnits), UCDs (UCD1+), utypes, arraysizes, extended types, reserved words of ADQL,
    keys and services that lead nowhere, duplicates, missing descriptions and principal columns, what
    standards demand (TAP, ObsCore), and what the database has otherwise than it is described.
    """
    with read_session(url) as connection:
        generated = sources.generate(connection)
        standards = load_standards()
        found = check_values(connection, generated.rows, standards) if values else ()
    findings = (
        *once_a_file(generated.findings),
        *lint_rows(generated.rows, places=generated.places, standards=standards),
        *found,
    )
    rows.write_findings(findings, strict=strict, nothing="Nothing to complain about.")


@click.command()
@source_options
@url_option
@prints_rows
def diff(sources: Sources, url: str | None, rows: RowOutput) -> None:
    """Say what publishing would change, and where FILES and database disagree; exit 1 if there is anything.

    Without FILES: whether what is published still fits the database.
    """
    with read_session(url) as connection:
        generated = sources.generate(connection)
        changes = diff_rows(read_rows(connection), generated.rows)
    differences = [
        {"what": one.kind, "table": one.table, "subject": one.subject, "details": one.details()}
        for one in changes
    ]
    differences += [
        {"what": one.rule, "table": "", "subject": one.subject, "details": one.problem}
        for one in generated.findings
        if one.severity == "error"
    ]
    rows.write_records(("what", "table", "subject", "details"), differences)
    if differences:
        sys.exit(1)
    click.echo("No difference.", err=True)


@click.command()
@url_option
@prints_rows
def history(url: str | None, rows: RowOutput) -> None:
    """List all publications that changed anything, newest first."""
    with read_session(url) as connection:
        generations = [asdict(one) for one in read_generations(connection)]
    rows.write_records(_GENERATION, generations)


def _only(rows: TapSchemaRows, schema: str) -> TapSchemaRows:
    """Return the rows of one schema."""
    kept = tuple(row for row in rows.schemas if row.schema_name.strip('"').lower() == schema.lower())
    if not kept:
        known = ", ".join(row.schema_name for row in rows.schemas)
        raise SettingsError("--schema", f"there is no schema {schema}", f"there are {known}")
    names = {row.schema_name for row in kept}
    tables = tuple(row for row in rows.tables if row.schema_name in names)
    public = {row.table_name for row in tables}
    keys = tuple(row for row in rows.keys if {row.from_table, row.target_table} <= public)
    key_ids = {row.key_id for row in keys}
    services = tuple(row for row in rows.datalink_service if row.table_name in public)
    service_ids = {row.service_id for row in services}
    return TapSchemaRows(
        schemas=kept,
        tables=tables,
        columns=tuple(row for row in rows.columns if row.table_name in public),
        keys=keys,
        key_columns=tuple(row for row in rows.key_columns if row.key_id in key_ids),
        datalink_service=services,
        datalink_parameter=tuple(row for row in rows.datalink_parameter if row.service_id in service_ids),
    )


def _pieces(rows: TapSchemaRows, form: str) -> Iterator[str]:
    """Yield rows in a format; VOSI tables, which are long, a table at a time."""
    if form == "vosi":
        yield from vosi_tables(rows)
    elif form == "felis":
        yield felis_text(rows, rows.schemas[0].schema_name)
    else:
        content = {name: [row._asdict() for row in of_table] for name, of_table in rows.by_table().items()}
        yield f"{json.dumps([content], indent=2, ensure_ascii=False)}\n"


@click.group("tap-schema")
def tap_schema() -> None:
    """Describe the published tables in TAP_SCHEMA: from Felis files and from the database itself.

    The database says what exists, of which type it is, what is indexed and what refers to what. FILES, in
    Felis, say what it means; so do the packages that make tables (ObsCore, TAP_SCHEMA itself). What is
    published already counts for tables that neither of them describes, so that FILES need not be all at
    once. Exit status: 0 if all went well, 1 if something failed or a difference was found, 2 if a file or an
    option cannot be used.
    """


for _command in (generate, lint, diff, publish, history, rollback):
    tap_schema.add_command(_command)
