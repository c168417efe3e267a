"""``tapdb replay cite | list | landing | verify-all | migrate | collection``: the query store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace

import click
from rich.console import Console
from rich.progress import track

from ppdb_replay.cli.session import idle_connection
from ppdb_replay.query_store.checks import StoredCheck, check_stored, migrate_stored, note_check
from ppdb_replay.query_store.sources import load_record
from ppdb_replay.query_store.store import (
    change_collection,
    find_stored,
    list_pids,
    read_collection,
    store_query,
)
from ppdb_replay.query_store.stored_query import bibtex
from tapdb.cli_options import url_option

__all__ = ["QUERY_STORE_COMMANDS"]

_format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.command("cite")
@click.argument("what", metavar="RECORD")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "bibtex"]),
    default="text",
    show_default=True,
    help="A text for a list of references, all of a landing page, or an entry of BibTeX.",
)
@url_option
def cite_command(what: str, *, form: str, url: str | None) -> None:
    """Give RECORD (JSON, VOTable or identifier) a persistent identifier and print how to cite it.

    The query is run again first; only what comes again is stored. The same query with the same result has the
    same identifier whenever it is cited. What is stored can be read by everybody who may read the PPDB.
    """
    with idle_connection(url) as connection:
        stored = store_query(connection, load_record(connection, what))
    if form == "json":
        click.echo(json.dumps(stored.landing, indent=1, ensure_ascii=False))
    else:
        click.echo(bibtex(stored) if form == "bibtex" else stored.citation)


@click.command("list")
@_format_option
@url_option
def list_command(form: str, url: str | None) -> None:
    """Print the stored queries: identifier, snapshot, number of rows, query."""
    with idle_connection(url) as connection:
        stored = [find_stored(connection, pid) for pid in list_pids(connection)]
    if form == "json":
        click.echo(json.dumps([one.landing for one in stored], indent=1, ensure_ascii=False))
        return
    for one in stored:
        record = one.record
        text = " ".join(record.natural.split())
        click.echo(f"{one.pid}  {record.snapshot.snapshot_id}  {record.row_count}  {text}")


@click.command("landing")
@click.argument("pid")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "record"]),
    default="text",
    show_default=True,
    help="For people; for the programs behind a landing page; or the replay record.",
)
@url_option
def landing_command(pid: str, *, form: str, url: str | None) -> None:
    """Print what is to be known of the stored query PID."""
    with idle_connection(url) as connection:
        stored = find_stored(connection, pid)
    landing = stored.landing
    if form == "json":
        click.echo(json.dumps(landing, indent=1, ensure_ascii=False))
    elif form == "record":
        click.echo(stored.record.to_json(), nl=False)
    else:
        columns = ", ".join(column["name"] for column in landing["result"]["columns"])
        lines = [
            *(("", value) for value in (landing["name"], landing["citation"])),
            ("query", landing["query"]["natural"]),
            ("any TAP client", stored.record.repeatable),
            ("snapshot", f"{landing['snapshot']['snapshot_id']} of {landing['snapshot']['date_tai']} (TAI)"),
            ("part of", landing["isPartOf"]),
            ("columns", columns),
            ("rows", landing["result"]["row_count"]),
            ("digest", landing["result"]["digest"]),
            ("guarantee", landing["guarantee"]["level"]),
            *(("", reason) for reason in landing["guarantee"]["reasons"]),
        ]
        click.echo(
            "\n".join(f"{name:<15}{value}".strip() for name, value in lines if value not in ("", None))
        )


@click.command("verify-all")
@click.argument("pids", nargs=-1, metavar="[PID]...")
@click.option("--note", is_flag=True, help="Keep in the database what came of it.")
@_format_option
@url_option
def verify_all_command(pids: tuple[str, ...], *, note: bool, form: str, url: str | None) -> None:
    """Run all stored queries again, or those named; exit 1 if one returns anything else.

    To be done after a change of schema or software, and after a restore. Queries with uploads are skipped.
    """
    with idle_connection(url) as connection:
        checks = check_stored(connection, pids or list_pids(connection))
        found = []
        for check in _shown(checks, len(pids or list_pids(connection)), "verify"):
            found.append(check)
            if note:
                note_check(connection, check)
    _report(found, form)


@click.command("migrate")
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@_format_option
@url_option
def migrate_command(*, dry_run: bool, form: str, url: str | None) -> None:
    """Rewrite all stored queries by this software; exit 1 if one cannot be had again.

    Where the text differs from the stored one it is run; if the rows are the same, it is kept as a revision
    and counts from then on.
    """
    with idle_connection(url) as connection:
        checks = migrate_stored(connection, dry_run=dry_run)
        found = list(_shown(checks, len(list_pids(connection)), "migrate"))
    _report(found, form)


@click.command("collection")
@click.option("--title", help="Title of the data collection.")
@click.option("--creator", help="Who made the data.")
@click.option("--publisher", help="Who publishes them.")
@click.option("--superset", help="Persistent identifier of the whole collection.")
@click.option("--pid-prefix", help="What identifiers of stored queries begin with: 10.5072/ppdb. for DOIs.")
@click.option("--landing-url", help="URL of landing pages; an identifier follows it.")
@url_option
def collection_command(url: str | None, **values: str | None) -> None:
    """Print what citations say of the data collection, after changing what options give.

    Queries that are stored already keep their citations.
    """
    given = {name: value for name, value in values.items() if value is not None}
    with idle_connection(url) as connection:
        collection = replace(read_collection(connection), **given)
        if given:
            change_collection(connection, collection)
    click.echo(json.dumps(asdict(collection), indent=1, ensure_ascii=False))


QUERY_STORE_COMMANDS = (
    cite_command,
    list_command,
    landing_command,
    verify_all_command,
    migrate_command,
    collection_command,
)
"""What this module adds to ``tapdb replay``."""


def _shown(checks: Iterator[StoredCheck], total: int, what: str) -> Iterator[StoredCheck]:
    """Yield checks, with progress on a terminal."""
    if not sys.stderr.isatty():
        yield from checks
        return
    yield from track(checks, what, total=total, console=Console(stderr=True), transient=True)


def _report(found: list[StoredCheck], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([asdict(one) for one in found]))
    else:
        for one in found:
            click.echo("  ".join(filter(None, (one.outcome, one.pid, one.problem))))
        click.echo(f"{sum(one.is_good for one in found)} of {len(found)} are good", err=True)
    if not all(one.is_good for one in found):
        sys.exit(1)
