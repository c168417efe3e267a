"""How a follower of a registry fares: what its copies lack for kept tables to follow them."""

from collections.abc import Collection, Iterator, Mapping

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql

from obscore_view.follow.copies import COMMENT, STALE, subscription_name, trigger_name
from obscore_view.select.kept_tables import keeping
from tapdb.findings import Finding
from tapdb.replication.subscription import (
    Subscription,
    find_subscription,
    following_error,
    problems_here,
    read_subscriptions,
    service_figures,
    subscribed_tables,
)
from tapdb.sources import execute_query, read_query


def followed_registries(connection: sa.Connection) -> tuple[Subscription, ...]:
    """Return the subscriptions that feed copies of registries, by the schema of the registry."""
    return read_subscriptions(connection, subscription_name)


def followed_registry(connection: sa.Connection, schema: str) -> Subscription | None:
    """Return the subscription that feeds the copy of a registry; None if there is none."""
    return find_subscription(connection, schema, subscription_name)


def said_of_copies(connection: sa.Connection, schema: str) -> str:
    """Return what is said of a schema that holds copies: `COMMENT` or `STALE`; nothing of others."""
    name = sa.func.to_regnamespace(sql.Identifier(schema).as_string(None))
    query = sa.select(sa.func.obj_description(sa.cast(name, postgresql.OID()), "pg_namespace"))
    said = connection.scalar(query)
    return said if said in {COMMENT, STALE} else ""


def followed_schemas(follower: sa.Connection) -> tuple[str, ...]:
    """Return the schemas of the registries that a database follows, or has begun to."""
    spaces = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")), schema="pg_catalog")
    said = sa.func.obj_description(spaces.c.oid, "pg_namespace")
    query = sa.select(spaces.c.nspname).where(said.in_((COMMENT, STALE))).order_by(spaces.c.nspname)
    return tuple(follower.scalars(query))


def unfed(connection: sa.Connection, schema: str | None = None) -> Iterator[Finding]:
    """Yield the schemas, or whether one, whose copies no subscription feeds.

    Parameters
    ----------
    connection
        Connection to the follower.
    schema
        Schema to look at; all if not given.
    """
    fed = {one.schema for one in followed_registries(connection)}
    for name in followed_schemas(connection):
        if name not in fed and schema in {None, name}:
            said = "its copies are here, and no subscription feeds them"
            remedy = f"tapdb follow add {name} --primary URL -c FILE, or tapdb follow remove {name}"
            yield following_error(f"registry {name}", said, remedy)


def copied_tables(connection: sa.Connection, schema: str) -> tuple[str, ...]:
    """Return the tables that the subscription of a registry feeds."""
    return subscribed_tables(connection, schema, subscription_name(schema))


def wanted_triggers(connection: sa.Connection, schema: str) -> frozenset[tuple[str, str]]:
    """Return the tables and events whose changes kept tables have to follow."""
    query = sa.select(keeping.c.relation, keeping.c.event).where(keeping.c.registry_schema == schema)
    return frozenset((row.relation, row.event) for row in connection.execute(query.distinct()))


def following_triggers(connection: sa.Connection, schema: str) -> Mapping[tuple[str, str], str]:
    """Return what enables the triggers that follow replication, by table and name; ``A`` is right."""
    rows = execute_query(connection, read_query("check.triggers"))
    return {
        (row.relation, row.name): row.enabled
        for row in rows
        if row.schema == schema and row.name.startswith(trigger_name(""))
    }


def lacking_triggers(connection: sa.Connection, schema: str) -> tuple[tuple[str, str], ...]:
    """Return the tables and events, of those that kept tables follow, whose changes nothing notes."""
    there = following_triggers(connection, schema)
    wanted = wanted_triggers(connection, schema)
    return tuple(sorted((t, e) for t, e in wanted if there.get((t, trigger_name(e))) != "A"))


def unknown_tables(connection: sa.Connection, schema: str) -> Mapping[str, tuple[str, ...]]:
    """Return the dataset types whose tags table was not copied, by tags table.

    That a table is new no subscription says: the row of the dataset type comes, and its datasets do not.
    """
    types = sa.table("dataset_type", *map(sa.column, ("name", "tag_association_table")), schema=schema)
    there = set(copied_tables(connection, schema))
    if types.name not in there:
        return {}
    found: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(types).order_by(types.c.name)):
        if row.tag_association_table not in there:
            found.setdefault(row.tag_association_table, []).append(row.name)
    return {table: tuple(names) for table, names in sorted(found.items())}


def here(connection: sa.Connection, one: Subscription, wanted: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with a subscription, as far as the follower itself knows.

    Parameters
    ----------
    connection
        Connection to the follower.
    one
        The subscription.
    wanted
        Dataset types that views over the registry are to show.
    """
    subject, add = f"registry {one.schema}", f"tapdb follow add {one.schema}"
    yield from problems_here(one, subject, add)
    if said_of_copies(connection, one.schema) == STALE:
        said = "rows were copied again, and its views are not refreshed: they lack what came meanwhile"
        yield following_error(subject, said, add)
    for table, names in unknown_tables(connection, one.schema).items():
        if shown := sorted(set(names) & set(wanted)):
            said = f"table {table} is not copied: datasets of {', '.join(shown)} are missing"
            yield following_error(subject, said, add)
    if lacking := lacking_triggers(connection, one.schema):
        tables = ", ".join(dict.fromkeys(table for table, _ in lacking))
        yield following_error(
            subject, f"changes of {tables} are applied and not followed by kept tables", add
        )


def read_figures(connection: sa.Connection) -> Iterator[tuple[str, str, Mapping[str, str], float]]:
    """Yield what a service tells Prometheus of each registry: name, meaning, labels and value of a figure.

    Parameters
    ----------
    connection
        Connection to the follower, of any role.
    """
    for one in followed_registries(connection):
        yield from service_figures(one, "registry")
