"""``tapdb obsplan``: observations that are planned and performed, as ObsLocTAP has them."""

import datetime as dt
from pathlib import Path

import click
import sqlalchemy as sa

from prompt_products.errors import PlanIncompleteError
from prompt_products.obsplan.performed import TYPES, update_performed
from prompt_products.obsplan.plan_file import read_plan
from prompt_products.obsplan.plan_store import drop_plan, load_plan, mjd, publish_plan
from tapdb.cli.output import describe_option, url_option
from tapdb.cli.session import change_session
from tapdb.sources import execute_query, read_query

_NAME = "tapdb obsplan"


@click.group()
def obsplan() -> None:
    """Publish observations that are planned and performed, as ObsLocTAP has them: ivoa.obsplan."""


@obsplan.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--plan", default="plan", show_default=True, metavar="NAME", help="Name of the plan.")
@click.option("--facility", metavar="NAME", help="Observatory, where the schedule does not say.")
@click.option("--instrument", metavar="NAME", help="Instrument, where the schedule does not say.")
@url_option
@describe_option
def load_command(
    file: Path, plan: str, facility: str | None, instrument: str | None, url: str | None, *, describe: bool
) -> None:
    """Load the schedule FILE, CSV or JSON, in place of what was loaded of the plan before.

    Columns have the names of ObsLocTAP; obs_id is needed, and facility_name. What was performed of the plan
    stays.
    """
    given = {
        "facility_name": facility,
        "instrument_name": instrument,
        "t_planning": mjd(dt.datetime.now(dt.UTC)),
    }
    said = {name: value for name, value in given.items() if value is not None}
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        count = load_plan(connection, plan, file.name, read_plan(file, said))
        publish_plan(connection)
    click.echo(f"Loaded {count} observations of {plan}.", err=True)


@obsplan.command("update")
@click.option("--registry-schema", metavar="SCHEMA", help="Database schema of the Butler registry.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    default=TYPES,
    show_default=True,
    help="Type of observation; may be repeated.",
)
@url_option
@describe_option
def update_command(
    registry_schema: str | None, types: tuple[str, ...], url: str | None, *, describe: bool
) -> None:
    """Take in exposures that a Butler registry has more than before: run it from cron.

    A row of a plan becomes performed if its obs_id is that of an exposure, or of its group.
    """
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        schema = _registry(connection, registry_schema)
        planned, others = update_performed(connection, schema, mjd(dt.datetime.now(dt.UTC)), types)
        publish_plan(connection)
    click.echo(f"Performed: {planned} observations of plans, {others} others.", err=True)


@obsplan.command("drop")
@click.option("--plan", metavar="NAME", help="Name of the plan; all rows if not given.")
@url_option
@describe_option
def drop_command(plan: str | None, url: str | None, *, describe: bool) -> None:
    """Forget a plan, or all that was planned and performed."""
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        count = drop_plan(connection, plan)
    click.echo(f"Dropped {count} observations.", err=True)


def _registry(connection: sa.Connection, schema: str | None) -> str:
    """Return the schema of the registry that is named, or of the only one."""
    known = [row.schema for row in execute_query(connection, read_query("registry.schemas"))]
    if schema is None and len(known) == 1:
        return str(known[0])
    if schema is None or schema not in known:
        listed = f"there are {', '.join(known)}" if known else "the database has none"
        raise PlanIncompleteError(
            f"no Butler registry {schema or 'is named'}: {listed}", "name one: --registry-schema SCHEMA"
        )
    return schema
