"""What is stored of plans: rows of ``tapdb.observation_plan``, which ``ivoa.obsplan`` shows."""

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
import sqlalchemy as sa

from prompt_products.errors import PlanEmptyError, PlanRefusedError
from prompt_products.obsplan.plan_columns import NAME, NAMES, NUMBERS, SCHEMA
from prompt_products.over_obscore import view_columns, view_statements
from tapdb.postgres.pgsphere import SPoly
from tapdb.sources import execute_composed, execute_text

_EPOCH_MJD = 40587
_CORNERS = 32
"""Corners of the polygon that stands for a circle."""

_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_SHAPE = re.compile(rf"(?P<shape>POLYGON|CIRCLE) ICRS(?P<numbers>( +{_NUMBER})+) *")

plan_table = sa.table(
    "observation_plan",
    *map(sa.column, ("plan", "registry_schema", "exposure")),
    *(sa.column(name, sa.Double() if name in NUMBERS else sa.Text()) for name in NAMES),
    sa.column("pgs_region"),
    schema="tapdb",
)


def mjd(when: dt.datetime) -> float:
    """Return a time as MJD (UTC)."""
    return when.timestamp() / 86400 + _EPOCH_MJD


def publish_plan(connection: sa.Connection) -> None:
    """Let readers see ``ivoa.obsplan``."""
    for statement in view_statements(SCHEMA, NAME, NAME):
        execute_composed(connection, statement)


def unpublish_plan(connection: sa.Connection) -> None:
    """Take ``ivoa.obsplan`` away; the rows behind it stay."""
    execute_text(connection, "DROP VIEW IF EXISTS ivoa.obsplan")


def plan_is_published(connection: sa.Connection) -> bool:
    """Return whether readers see ``ivoa.obsplan``."""
    return bool(view_columns(connection, SCHEMA, NAME))


def has_plan(connection: sa.Connection) -> bool:
    """Return whether there is a row behind ``ivoa.obsplan``."""
    if not view_columns(connection, "tapdb", "observation_plan"):
        return False
    return bool(connection.scalar(sa.select(sa.exists().where(plan_table.c.plan.is_not(None)))))


def load_plan(
    connection: sa.Connection, plan: str, source: str, rows: Iterable[tuple[int, Mapping[str, Any]]]
) -> int:
    """Store a plan in place of what was stored of it, less what was performed since; return how many rows.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``, in a transaction.
    plan
        Name of the plan.
    source
        Name of the file, for messages.
    rows
        Number of each line, and values of columns.

    Raises
    ------
    PlanRefusedError
        Raised if a row does not hold to the standard.
    """
    connection.execute(
        sa.delete(plan_table).where(plan_table.c.plan == plan, plan_table.c.exposure.is_(None))
    )
    done = frozenset(connection.scalars(sa.select(plan_table.c.obs_id).where(plan_table.c.plan == plan)))
    count = 0
    for number, values in rows:
        if values.get("obs_id") in done:
            continue
        try:
            with connection.begin_nested():
                region = _region(source, number, values.get("s_region"))
                connection.execute(sa.insert(plan_table).values(plan=plan, pgs_region=region, **values))
        except (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.InternalError) as error:
            raise PlanRefusedError(source, number, _reason(connection, error), "mend the line") from error
        count += 1
    return count


def _region(source: str, number: int, text: str | None) -> Any:
    """Return the region of a row for searches, as an expression; NULL if the row has none."""
    if text is None:
        return sa.null()
    found = _SHAPE.fullmatch(text)
    numbers = found["numbers"].split() if found is not None else []
    pairs = [f"({ra}d,{dec}d)" for ra, dec in zip(numbers[::2], numbers[1::2], strict=False)]
    if found is not None and found["shape"] == "POLYGON" and len(numbers) % 2 == 0 and len(pairs) > 2:  # noqa: PLR2004
        return sa.cast("{" + ",".join(pairs) + "}", SPoly("public"))
    if found is not None and found["shape"] == "CIRCLE" and len(numbers) == 3:  # noqa: PLR2004
        return sa.cast(_around(*map(float, numbers)), SPoly("public"))
    raise PlanRefusedError(
        source, number, f"s_region is {text!r}", "write POLYGON ICRS or CIRCLE ICRS and numbers in degrees"
    )


def _around(ra: float, dec: float, radius: float) -> str:
    """Return the polygon around a circle, of pg_sphere; all in degrees."""
    centre, far = math.radians(dec), math.radians(radius)
    # Its sides touch the circle.
    far = math.atan(math.tan(far) / math.cos(math.pi / _CORNERS))
    corners = []
    for number in range(_CORNERS):
        angle = 2 * math.pi * number / _CORNERS
        sine = math.sin(centre) * math.cos(far) + math.cos(centre) * math.sin(far) * math.cos(angle)
        east = math.atan2(
            math.sin(angle) * math.sin(far) * math.cos(centre), math.cos(far) - math.sin(centre) * sine
        )
        corners.append(f"({(ra + math.degrees(east)) % 360!r}d,{math.degrees(math.asin(sine))!r}d)")
    return "{" + ",".join(corners) + "}"


def drop_plan(connection: sa.Connection, plan: str | None) -> int:
    """Forget a plan, or all rows if none is named; return how many rows went.

    Raises
    ------
    PlanEmptyError
        Raised if there is nothing.
    """
    statement = sa.delete(plan_table)
    if plan is not None:
        statement = statement.where(plan_table.c.plan == plan)
    gone = connection.execute(statement).rowcount
    if not gone:
        raise PlanEmptyError
    if not has_plan(connection):
        unpublish_plan(connection)
    return gone


def _reason(connection: sa.Connection, error: sa.exc.DBAPIError) -> str:
    """Return what a row does not hold to: the comment on the constraint, or what PostgreSQL says."""
    found = error.orig.diag if isinstance(error.orig, psycopg.Error) else None
    if found is None:
        return str(error.orig)
    name = found.constraint_name
    comment = None
    if name is not None:
        constraint = sa.table("pg_constraint", sa.column("oid"), sa.column("conname"), schema="pg_catalog")
        comment = connection.scalar(
            sa.select(sa.func.obj_description(constraint.c.oid, "pg_constraint")).where(
                constraint.c.conname == name
            )
        )
    return comment or (f"{found.column_name} is missing" if found.column_name else str(found.message_primary))
