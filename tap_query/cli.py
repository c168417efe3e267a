"""``tapdb query``: parse, translate, explain and run ADQL."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from adql import CompiledQuery, Limits, Query, to_postgres, validate
from tap_query.cli_output import FORMATS, show_tree, write_result
from tap_query.cli_session import Service, output_option, takes_query, takes_service, timeout_option
from tap_query.execute import Session, fetch
from tap_query.execute import explain as explain_compiled
from tapdb.cli_output import output_stream
from tapdb.engine import driver_connection

__all__ = ["query"]


@click.group()
def query() -> None:
    """Parse, translate, explain and run ADQL 2.1.

    QUERY is the text of one query, or - to read it from standard input. Exit status: 0 if all went well, 1 if
    the query cannot be used or failed, 2 if an option cannot be used.
    """


@query.command("parse")
@takes_query
@click.option("--format", "form", type=click.Choice(["adql", "tree"]), default="adql", show_default=True)
@output_option
def parse_command(parsed: Query, *, output: str, form: str) -> None:
    """Print QUERY as strict ADQL on one line or as a tree, or say what is wrong with it."""
    shown = show_tree(parsed) if form == "tree" else str(parsed)
    with output_stream(output) as stream:
        stream.write(f"{shown}\n".encode())


@query.command()
@takes_query
@takes_service
@click.option("--inline", is_flag=True, help="Write constants into the SQL, so that psql can run it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["sql", "json", "adql"]),
    default="sql",
    show_default=True,
    help="The SQL; all of it as JSON; or the checked query as ADQL, all names written out.",
)
@output_option
def translate(parsed: Query, *, service: Service, output: str, form: str, inline: bool) -> None:
    """Print the SQL that QUERY becomes for PostgreSQL with pgSphere; nothing is run."""
    metadata, server = service.read(inline=inline)
    if form == "adql":
        shown = str(validate(parsed, metadata))
    else:
        compiled = to_postgres(parsed, metadata, Limits(max_rows=service.max_rows), server=server)
        shown = json.dumps(asdict(compiled), indent=2) if form == "json" else _commented(compiled)
    with output_stream(output) as stream:
        stream.write(f"{shown}\n".encode())


@query.command()
@takes_query
@takes_service
@timeout_option
@click.option("--analyze", is_flag=True, help="Run the query, and show real times and rows.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@output_option
def explain(parsed: Query, *, service: Service, timeout: int, output: str, form: str, analyze: bool) -> None:
    """Print how the database would run QUERY."""
    with service.connect() as connection:
        compiled = service.compile(parsed, connection)
        plan = explain_compiled(
            driver_connection(connection),
            compiled,
            analyze=analyze,
            as_json=form == "json",
            session=Session(timeout_ms=1000 * timeout),
        )
    with output_stream(output) as stream:
        stream.write(f"{plan}\n".encode())


@query.command()
@takes_query
@takes_service
@timeout_option
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@output_option
def run(parsed: Query, *, service: Service, timeout: int, output: str, form: str) -> None:
    """Run QUERY and print its rows."""
    with service.connect() as connection:
        compiled = service.compile(parsed, connection)
        result = fetch(
            driver_connection(connection),
            compiled,
            max_rows=service.max_rows,
            session=Session(timeout_ms=1000 * timeout),
        )
    with output_stream(output) as stream:
        write_result(result, form, stream)
    if result.overflow:
        click.echo(f"There are more than {service.max_rows} rows; --maxrec shows more.", err=True)


def _commented(compiled: CompiledQuery) -> str:
    parameters = zip(compiled.parameters, compiled.parameter_types, strict=True)
    comments = [f"-- ${number} = {value!r} ({type_})" for number, (value, type_) in enumerate(parameters, 1)]
    # A line feed in a string would end the comment.
    return "\n".join([*(comment.replace("\n", "\\n") for comment in comments), compiled.sql])
