"""``tapdb tap-schema publish | rollback``: commands that change what is published."""

from __future__ import annotations

from dataclasses import replace

import click
import sqlalchemy as sa

from tap_schema.cli_session import Sources, looking, print_script, source_options
from tap_schema.errors import UnpublishableError
from tap_schema.generate import Generated
from tap_schema.history import plan_rollback
from tap_schema.history import rollback as roll_back
from tap_schema.lint import lint_rows
from tap_schema.publish import Publication, plan_publication, require_publisher
from tap_schema.publish import publish as publish_rows
from tap_schema.reader import grant_reading
from tap_schema.script import Statement
from tapdb.cli_options import dry_run_option, url_option
from tapdb.cli_session import changing
from tapdb.descriptions import load_standards
from tapdb.engine import checked_connection
from tapdb.refusals import refusals_are_ours

__all__ = ["publish", "rollback"]


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
        with refusals_are_ours(), checked_connection(url) if grant else looking(url) as connection:
            generated, grants = _generated(sources, connection, grant=grant)
            _check(generated, strict=strict, grant=grant)
            publication = plan_publication(connection, generated.rows, comment=comment)
        print_script(replace(publication, statements=(*grants, *publication.statements)))
    else:
        with changing(url, application_name="tapdb tap-schema") as connection:
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
@dry_run_option
def rollback(url: str | None, to: int | None, *, dry_run: bool) -> None:
    """Publish again what was in force after an earlier publication.

    That is a publication of its own: the record goes on, and a rollback can be taken back.
    """
    if dry_run:
        with looking(url) as connection:
            publication = plan_rollback(connection, to=to)
        print_script(publication)
    else:
        with changing(url, application_name="tapdb tap-schema") as connection:
            require_publisher(connection)
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
