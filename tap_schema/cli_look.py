"""``tapdb tap-schema generate | lint | diff | history``: commands that only look."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

import click

from tap_schema.check_values import check_values
from tap_schema.cli_session import (
    Sources,
    finding_rows,
    format_option,
    looking,
    print_rows,
    source_options,
)
from tap_schema.csv_text import write_csv
from tap_schema.diff import diff_rows
from tap_schema.felis_text import felis_text
from tap_schema.finding import Finding
from tap_schema.history import read_generations
from tap_schema.lint import lint_rows
from tap_schema.rows import ROW_TYPES, TapSchemaRows
from tap_schema.stored import read_rows
from tap_schema.vosi import vosi_tables
from tapdb.cli_options import url_option
from tapdb.cli_output import output_stream
from tapdb.descriptions import load_standards
from tapdb.errors import SettingsError

__all__ = ["diff", "generate", "history", "lint"]

_FINDING = ("severity", "rule", "place", "table", "column", "problem", "remedy")
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["vosi", "felis", "csv", "json"]),
    default="vosi",
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    default="-",
    metavar="FILE",
    help="Default: standard output.",
)
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
    with looking(url) as connection:
        rows = read_rows(connection) if published else sources.generate(connection).rows
    if schema is not None:
        rows = _only(rows, schema)
    if form == "felis" and len(rows.schemas) != 1:
        known = ", ".join(row.schema_name for row in rows.schemas)
        raise SettingsError("--format felis", "a Felis file holds one schema", f"add --schema: {known}")
    with output_stream(output) as file:
        file.writelines(piece.encode() for piece in _pieces(rows, form, table))


@click.command()
@source_options
@url_option
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option(
    "--values", is_flag=True, help="Read the tables of standards, too: forbidden values and NULLs in ObsCore."
)
@format_option
def lint(
    sources: Sources,
    url: str | None,
    form: str,
    *,
    strict: bool,
    values: bool,
) -> None:
    """Say what is wrong with the descriptions, each with file, line, table, column and what to do.

    Checked are units (VOUnits), UCDs (UCD1+), utypes, arraysizes, extended types, reserved words of ADQL,
    keys and services that lead nowhere, duplicates, missing descriptions and principal columns, what
    standards demand (TAP, ObsCore), and what the database has otherwise than it is described.
    """
    with looking(url) as connection:
        generated = sources.generate(connection)
        standards = load_standards()
        found = check_values(connection, generated.rows, standards) if values else ()
    findings = (
        *generated.findings,
        *lint_rows(generated.rows, places=generated.places, standards=standards),
        *found,
    )
    print_rows(finding_rows(findings), _FINDING, form)
    _sum_up(findings)
    bad = {"error", "warning"} if strict else {"error"}
    sys.exit(1 if any(one.severity in bad for one in findings) else 0)


@click.command()
@source_options
@url_option
@format_option
def diff(sources: Sources, url: str | None, form: str) -> None:
    """Say what publishing would change, and where FILES and database disagree; exit 1 if there is anything.

    Without FILES: whether what is published still fits the database.
    """
    with looking(url) as connection:
        generated = sources.generate(connection)
        changes = diff_rows(read_rows(connection), generated.rows)
    rows = [
        {"what": one.kind, "table": one.table, "subject": one.subject, "details": one.details()}
        for one in changes
    ]
    drift = [one for one in generated.findings if one.severity == "error"]
    rows += [
        {
            "what": one.rule,
            "table": "",
            "subject": f"{one.table}.{one.column}" if one.column else one.table,
            "details": one.problem,
        }
        for one in drift
    ]
    print_rows(rows, ("what", "table", "subject", "details"), form)
    if not rows:
        click.echo("No difference.", err=True)
    sys.exit(1 if rows else 0)


@click.command()
@url_option
@format_option
def history(url: str | None, form: str) -> None:
    """List all publications that changed anything, newest first."""
    with looking(url) as connection:
        rows = [asdict(one) for one in read_generations(connection)]
    print_rows(rows, _GENERATION, form)


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


def _pieces(rows: TapSchemaRows, form: str, table: str) -> Iterator[str]:
    """Yield rows in a format; VOSI tables, which are long, a table at a time."""
    text = io.StringIO(newline="")
    if form == "vosi":
        yield from vosi_tables(rows)
    elif form == "felis":
        yield felis_text(rows, rows.schemas[0].schema_name)
    elif form == "csv":
        write_csv(rows, table, text)
    else:
        content = {name: [row._asdict() for row in of_table] for name, of_table in rows.by_table().items()}
        print_rows([content], (), "json", text)
    yield text.getvalue()


def _sum_up(findings: tuple[Finding, ...]) -> None:
    """Say how much was found, by rule, on standard error."""
    counts = Counter((one.severity, one.rule) for one in findings)
    for (severity, rule), count in sorted(counts.items()):
        click.echo(f"{count} {severity}{'s' if count > 1 else ''}: {rule}", err=True)
    if not findings:
        click.echo("Nothing to complain about.", err=True)
