"""``tapdb sql``: list, freeze, check and apply the SQL sources."""

import click

from tapdb.cli.output import RowOutput, dry_run_option, prints_rows, url_option
from tapdb.errors import DriftError, FrozenSourceError
from tapdb.migrate.drift import drift_error, find_drift
from tapdb.postgres.engine import checked_connection, translate_database_errors
from tapdb.sources import (
    SqlSource,
    execute_text,
    freeze,
    in_dependency_order,
    newest_version,
    read_all_current,
    read_current,
    read_frozen,
)

_KEEPS_DATA = ("tables/", "schemas/", "roles/")


@click.group()
def sql() -> None:
    """List, freeze, check or apply the SQL sources in sql/."""


@sql.command("list")
@prints_rows
def list_sources(rows: RowOutput) -> None:
    """List all sources in the order in which they are applied, with their newest frozen version."""
    names = ("name", "frozen", "state", "purpose")
    records = (
        (source.name, newest_version(source.name), _state(source), source.purpose.splitlines()[0])
        for source in read_all_current()
    )
    rows.write_records(names, [dict(zip(names, record, strict=True)) for record in records])


@sql.command("freeze")
@click.argument("names", nargs=-1)
@click.option(
    "--replace-newest",
    is_flag=True,
    help="Write over the newest version instead of adding one: only if no database has it yet.",
)
@dry_run_option
def freeze_sources(names: tuple[str, ...], *, replace_newest: bool, dry_run: bool) -> None:
    """Write each source that has changed as a new frozen version; all of them if no NAMES are given.

    Put what is printed into a new revision.
    """
    for source in _sources(names):
        if _state(source) == "frozen":
            continue
        newest = newest_version(source.name)
        if not dry_run:
            freeze(source, replace_newest=replace_newest)
        if newest == 0 or not replace_newest:
            click.echo(f'op.set_object_version("{source.name}", new={newest + 1}, old={newest or None})')


@sql.command("check")
@click.option("--live", is_flag=True, help="Compare the database with sql/, too; as the role that migrates.")
@url_option
def check_sources(url: str | None, *, live: bool) -> None:
    """Say which sources are not frozen as they are and which frozen texts were edited; exit 1 if any."""
    sources = read_all_current()
    problems = [f"{source.name}: {_state(source)}" for source in sources if _state(source) != "frozen"]
    if problems:
        raise DriftError("sql/", tuple(problems), "Run 'tapdb sql freeze' and write a revision.")
    if live:
        with translate_database_errors(), checked_connection(url) as connection:
            drift = find_drift(connection, sources)
        if drift:
            raise drift_error(drift)
    click.echo("No difference.", err=True)


@sql.command("apply")
@click.argument("names", nargs=-1, required=True)
@url_option
@dry_run_option
@click.option(
    "--yes", is_flag=True, help="Replace tables, schemas and roles as well, and lose what they hold."
)
def apply_sources(names: tuple[str, ...], url: str | None, *, dry_run: bool, yes: bool) -> None:
    """Drop and make again what the sources NAMES make, in one transaction, from the text in sql/.

    For development, and to mend what was changed by hand: migrations change databases by revisions.
    """
    sources = _sources(names)
    with_data = [source.name for source in sources if source.name.startswith(_KEEPS_DATA)]
    if with_data and not (yes or dry_run):
        raise click.UsageError(
            f"{', '.join(with_data)} may hold data that would be lost; add --yes if that is meant"
        )
    texts = [source.drop for source in reversed(sources)] + [source.create for source in sources]
    if dry_run:
        click.echo("BEGIN;\n" + "".join(texts) + "COMMIT;")
        return
    with translate_database_errors(), checked_connection(url) as connection:
        for text in texts:
            execute_text(connection, text)
        connection.commit()
    click.echo(f"Applied: {', '.join(source.name for source in sources)}", err=True)


def _sources(names: tuple[str, ...]) -> tuple[SqlSource, ...]:
    return in_dependency_order(map(read_current, names)) if names else read_all_current()


def _state(source: SqlSource) -> str:
    """Return whether the newest frozen version has today's SQL."""
    newest = newest_version(source.name)
    if newest == 0:
        return "never frozen"
    try:
        frozen = read_frozen(source.name, newest)
    except FrozenSourceError as error:
        return error.problem
    return "frozen" if frozen.has_same_sql(source) else f"changed since version {newest}"
