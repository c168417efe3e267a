"""How a follower fares: its subscriptions, what they lack, and how far they are behind."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict

from obscore_view.follow.copies import subscription_name, trigger_name
from obscore_view.follow.primary import Primary, PrimaryTable, read_tables
from obscore_view.select.kept_tables import keeping
from tapdb.findings import Finding
from tapdb.settings import DRIVER
from tapdb.sources import execute_query, read_query

_YOUNG_S = 15.0
"""A worker that is younger, after an error, has been started again because of it."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that feeds the copy of a registry.

    Attributes
    ----------
    name, schema
        Its name, and the schema of the registry.
    slot, publication
        Names of its slot and of the publication, on the primary.
    is_enabled
        Whether it is to run.
    tables, copying
        Number of its tables, and of those that are not copied yet.
    is_at_work
        Whether it runs, and has not just been started again after an error.
    silent_s
        Seconds since the primary was heard last; None if it was not yet.
    apply_errors, copy_errors
        How often it has failed since the server's statistics were reset.
    """

    name: str
    schema: str
    slot: str
    publication: str
    is_enabled: bool
    tables: int
    copying: int
    is_at_work: bool
    silent_s: float | None
    apply_errors: int
    copy_errors: int


@dataclass(frozen=True, slots=True)
class Slot:
    """What a primary keeps for a follower.

    Attributes
    ----------
    active
        Whether the follower is connected.
    wal_status
        ``reserved``, ``extended``, ``unreserved`` or ``lost``.
    behind_bytes
        WAL that the follower has not confirmed.
    safe_bytes
        WAL that may still be written before the slot is lost; None if there is no limit.
    """

    active: bool
    wal_status: str
    behind_bytes: int
    safe_bytes: int | None


def read_subscriptions(connection: sa.Connection) -> tuple[Subscription, ...]:
    """Return the subscriptions of tapdb in this database, by the schema of the registry."""
    if (connection.dialect.server_version_info or ()) < (15,):
        return ()
    found = []
    for row in execute_query(connection, read_query("follow.subscriptions")):
        if row.name != subscription_name(row.schema):
            continue
        errors = row.apply_errors or 0
        restarted = errors > 0 and row.worker_s is not None and row.worker_s < _YOUNG_S
        found.append(
            Subscription(
                *(row.name, row.schema, row.slot, row.publication, row.is_enabled, row.tables, row.copying),
                is_at_work=row.runs and not restarted,
                silent_s=row.silent_s,
                apply_errors=errors,
                copy_errors=row.copy_errors or 0,
            )
        )
    return tuple(found)


def find_subscription(connection: sa.Connection, schema: str) -> Subscription | None:
    """Return the subscription that feeds the copy of a registry; None if there is none."""
    return next((one for one in read_subscriptions(connection) if one.schema == schema), None)


def primary_url(connection: sa.Connection, schema: str) -> sa.URL | None:
    """Return where a subscription connects to; None if there is none, or if the role may not know.

    Superusers may: it may hold a password.
    """
    table = sa.table("pg_subscription", *map(sa.column, ("subname", "subconninfo")), schema="pg_catalog")
    query = sa.select(table.c.subconninfo).where(table.c.subname == subscription_name(schema))
    readable = sa.func.has_column_privilege("pg_catalog.pg_subscription", "subconninfo", "SELECT")
    if not connection.scalar(sa.select(readable)):
        return None
    text = connection.scalar(query)
    if text is None:
        return None
    parts = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    port = parts.pop("port", None)
    named = {name: parts.pop(key, None) for name, key in _PARTS.items()}
    return sa.URL.create(DRIVER, port=int(port) if port else None, query=parts, **named)


_PARTS = {"username": "user", "password": "password", "host": "host", "database": "dbname"}


def read_slot(connection: sa.Connection, name: str) -> Slot | None:
    """Return what a primary keeps for a follower; None if the slot is gone."""
    row = connection.execute(sa.text(read_query("follow.slot")), {"slot": name}).one_or_none()
    if row is None:
        return None
    return Slot(row.active, row.wal_status, row.behind_bytes or 0, row.safe_wal_size)


def copied_tables(connection: sa.Connection, schema: str) -> tuple[str, ...]:
    """Return the tables that the subscription of a registry feeds."""
    rows = execute_query(connection, read_query("check.subscribed"))
    mine = subscription_name(schema)
    return tuple(row.name for row in rows if row.schema == schema and row.subscription == mine)


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
    if not one.is_enabled:
        yield _error(subject, "its subscription is disabled", f"{add} enables it")
    elif not one.is_at_work and one.apply_errors:
        said = f"its subscription stops at a change that it cannot apply ({one.apply_errors} times)"
        yield _error(subject, said, f"the log of this server says why; then {add}")
    elif not one.is_at_work:
        remedy = "the log of this server says why: the primary, the network, or too few worker processes"
        yield _error(subject, "its subscription does not run", remedy)
    if one.copying:
        failed = f", which has failed {one.copy_errors} times" if one.copy_errors else ""
        yield Finding(
            "warning", "copying", subject, f"{one.copying} of {one.tables} tables are being copied{failed}"
        )
    for table, names in unknown_tables(connection, one.schema).items():
        if shown := sorted(set(names) & set(wanted)):
            said = f"table {table} is not copied: datasets of {', '.join(shown)} are missing"
            yield _error(subject, said, add)
    if lacking := lacking_triggers(connection, one.schema):
        tables = ", ".join(dict.fromkeys(table for table, _ in lacking))
        yield _error(subject, f"changes of {tables} are applied and not followed by kept tables", add)


def there(
    connection: sa.Connection, one: Subscription, primary: Primary, slot: Slot | None
) -> Iterator[Finding]:
    """Yield what is wrong with a subscription, as far as the primary knows.

    Parameters
    ----------
    connection
        Connection to the follower.
    one
        The subscription.
    primary
        The registry at the primary, with the tables that are copied.
    slot
        What the primary keeps for the follower.
    """
    subject = f"registry {one.schema}"
    add, rebuild = (f"tapdb follow {word} {one.schema}" for word in ("add", "rebuild"))
    if slot is None or slot.wal_status == "lost":
        said = "was dropped" if slot is None else "is lost: the primary has removed WAL that was still needed"
        yield _error(subject, f"its slot {one.slot} {said}", rebuild)
    elif slot.wal_status == "unreserved":
        said = f"its slot is about to be lost: {slot.behind_bytes} bytes behind"
        yield _error(subject, said, "let the follower catch up")
    if primary.published is None:
        yield _error(subject, f"the publication {primary.publication} was dropped", rebuild)
    copies = copied_tables(connection, one.schema)
    published = primary.published.columns if primary.published is not None else {}
    known = {table.name: table for table in primary.copies if table.name in published}
    if primary.published is not None and (gone := sorted(set(copies) - known.keys())):
        yield _error(
            subject, f"no longer published: {', '.join(gone)}", f"publish them again; then {rebuild}"
        )
    for copy in read_tables(connection, one.schema, copies):
        if (table := known.get(copy.name)) is not None and (said := difference(copy, table)):
            yield _error(f"table {one.schema}.{copy.name}", said, add)
    if not primary.limits_wal:
        said = (
            "max_slot_wal_keep_size is unlimited: a follower that is away fills the primary's disk with WAL"
        )
        remedy = "there: ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf()"
        yield Finding("warning", "limit", subject, said, remedy)


def difference(copy: PrimaryTable, table: PrimaryTable) -> str:
    """Return in words how the columns of a copy differ from those at the primary; empty if they do not."""
    mine = {one.name: one.type for one in copy.columns}
    theirs = {one.name: one.type for one in table.columns}
    said = [f"column {name} was added" for name in theirs if name not in mine]
    said += [f"column {name} was dropped" for name in mine if name not in theirs]
    said += [
        f"column {name} was {mine[name]}, is {kind}"
        for name, kind in theirs.items()
        if name in mine and mine[name] != kind
    ]
    return "; ".join(said)


def _error(subject: str, problem: str, remedy: str) -> Finding:
    return Finding("error", "following", subject, problem, remedy)


def figures(one: Subscription, slot: Slot | None) -> dict[str, Any]:
    """Return what ``status`` shows of a subscription."""
    return {
        "registry": one.schema,
        "state": "copying" if one.copying else "following" if one.is_at_work else "stopped",
        "tables": one.tables,
        "behind_bytes": None if slot is None else slot.behind_bytes,
        "safe_bytes": None if slot is None else slot.safe_bytes,
        "silent_s": None if one.silent_s is None else round(one.silent_s, 1),
        "errors": one.apply_errors + one.copy_errors,
    }


def read_figures(connection: sa.Connection) -> Iterator[tuple[str, str, Mapping[str, str], float]]:
    """Yield what a service tells Prometheus of each registry: name, meaning, labels and value of a figure.

    Parameters
    ----------
    connection
        Connection to the follower, of any role.
    """
    for one in read_subscriptions(connection):
        labels = {"registry": one.schema}
        yield "tapdb_follow_running", "Whether its changes are applied.", labels, float(one.is_at_work)
        yield "tapdb_follow_copying", "Tables that are not copied yet.", labels, float(one.copying)
        errors = float(one.apply_errors + one.copy_errors)
        yield "tapdb_follow_errors", "How often applying changes has failed.", labels, errors
        if one.silent_s is not None:
            yield "tapdb_follow_silent_seconds", "Time since its primary was heard.", labels, one.silent_s
