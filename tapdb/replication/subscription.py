"""A subscription of logical replication: the SQL that makes, changes and ends it, and how it fares.

A follower is a database whose subscription has the tables of a primary, under the same schema and names, by
which a subscription finds them. Names of subscriptions and slots follow from the schema.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL

from tapdb.errors import DatabaseUnavailableError
from tapdb.findings import Finding
from tapdb.postgres.engine import checked_connection
from tapdb.replication.primary import OLDEST_VERSION, FollowerError, Primary, PrimaryTable
from tapdb.settings import DRIVER
from tapdb.sources import execute_query, execute_text, read_query

LONGEST_NAME = 63
"""Characters of the longest name that PostgreSQL keeps."""

RUN_AS_OWNER = 160000
"""The first version of PostgreSQL that applies changes as the owner of a table unless it is told not to."""

_YOUNG_S = 15.0
"""A worker that is younger, after an error, has been started again because of it."""

_PAUSE_S = 0.1
_PATIENCE_S = 30.0
"""Longer than a server takes to see that a follower has gone."""

NameOf = Callable[[str], str]
"""Returns the name of the subscription that a job makes for a schema."""


def slot_name(schema: str, follower: str) -> str:
    """Return the name of a slot on the primary, where other followers have slots too.

    Parameters
    ----------
    schema
        Schema of the tables.
    follower
        What tells the follower's database from all others.
    """
    plain = "".join(one if one.isascii() and (one.isalnum() or one == "_") else "_" for one in schema.lower())
    digest = hashlib.sha256(f"{follower}/{schema}".encode()).hexdigest()[:8]
    return f"tapdb_{plain[:40]}_{digest}"


def slot_for(follower: sa.Connection, schema: str) -> str:
    """Return the name of the slot of a follower that follows a schema; no other server has it."""
    column: sa.ColumnClause[int] = sa.column("system_identifier")
    server = sa.select(column).select_from(sa.func.pg_control_system())
    database = follower.scalar(sa.select(sa.func.current_database()))
    return slot_name(schema, f"{follower.scalar(server)}/{database}")


def conninfo(url: URL) -> str:
    """Return how PostgreSQL itself connects to where a URL goes."""
    parts = {
        "host": url.host,
        "port": None if url.port is None else str(url.port),
        "dbname": url.database,
        "user": url.username,
        "password": None if url.password is None else str(url.password),
        **{name: value for name, value in url.query.items() if isinstance(value, str)},
    }
    return make_conninfo(**{name: value for name, value in parts.items() if value is not None})


def masked(statement: str, url: URL) -> str:
    """Return a statement with a subscription's connection, with stars in place of the password."""
    shown = url if url.password is None else url.set(password="***")  # noqa: S106  stars
    own, other = (sql.Literal(conninfo(one)).as_string(None) for one in (url, shown))
    return statement.replace(own, other)


def without_password(url: URL) -> str:
    """Return in words where a URL goes."""
    return f"{url.database} on {url.host or 'this machine'}:{url.port or 5432} as {url.username}"


def make_tables(schema: str, tables: Iterable[PrimaryTable]) -> Iterator[str]:
    """Yield what makes empty copies of tables: their columns and primary keys.

    Parameters
    ----------
    schema
        Schema of the tables.
    tables
        Tables at the primary.
    """
    for table in tables:
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(one.name), sql.SQL(one.type), sql.SQL(" NOT NULL" if one.not_null else "")
            )
            for one in table.columns
        ]
        key = sql.SQL(", ").join(map(sql.Identifier, table.identity))
        columns.append(sql.SQL("PRIMARY KEY ({})").format(key))
        yield (
            sql.SQL("CREATE TABLE {} ({})")
            .format(sql.Identifier(schema, table.name), sql.SQL(", ").join(columns))
            .as_string(None)
        )


def make_indexes(schema: str, tables: Iterable[PrimaryTable]) -> Iterator[str]:
    """Yield what makes the indexes that the primary has, and tells the planner about the rows."""
    for table in tables:
        # A copy has them for speed alone: what they forbid the primary has refused.
        yield from (
            one.replace("CREATE UNIQUE INDEX ", "CREATE INDEX ", 1).replace(
                " INDEX ", " INDEX IF NOT EXISTS ", 1
            )
            for one in table.indexes
        )
        yield sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table.name)).as_string(None)


def make_subscription(
    name: str, url: URL, publication: str, slot: str, version: int, *, has_rows: bool = False
) -> str:
    """Return what makes a subscription; its workers copy what is there, then follow.

    Parameters
    ----------
    name, url, publication
        Its name, where the primary is, and what is published there.
    slot
        Name of the slot.
    version
        PostgreSQL's, of the follower.
    has_rows
        Whether the slot is there, and the rows as of its beginning are here.
    """
    options = [
        sql.SQL("slot_name = {}").format(sql.Literal(slot)),
        sql.SQL("copy_data = false, create_slot = false" if has_rows else "copy_data = true"),
        # A large transaction is applied once it is whole, by one worker.
        sql.SQL("streaming = off"),
    ]
    if version >= RUN_AS_OWNER:
        # As another role than the worker's own, deferred triggers could not be queued.
        options.append(sql.SQL("run_as_owner = true"))
    return (
        sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH ({})")
        .format(
            sql.Identifier(name),
            sql.Literal(conninfo(url)),
            sql.Identifier(publication),
            sql.SQL(", ").join(options),
        )
        .as_string(None)
    )


def alter_subscription(name: str, words: str, *literals: str) -> str:
    """Return what changes a subscription."""
    change = sql.SQL(words).format(*map(sql.Literal, literals))
    return sql.SQL("ALTER SUBSCRIPTION {} {}").format(sql.Identifier(name), change).as_string(None)


def change_publication(name: str, publication: str) -> str:
    """Return what lets a subscription take another publication, and copy what is new in it."""
    words = sql.SQL("ALTER SUBSCRIPTION {} SET PUBLICATION {}")
    return words.format(*map(sql.Identifier, (name, publication))).as_string(None)


def drop_subscription(name: str, *, with_slot: bool) -> Iterator[str]:
    """Yield what ends a subscription.

    Parameters
    ----------
    name
        Its name.
    with_slot
        Whether the slot on the primary goes too; it has to be dropped there by hand if not.
    """
    if not with_slot:
        yield alter_subscription(name, "DISABLE")
        yield alter_subscription(name, "SET (slot_name = NONE)")
    yield sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(name)).as_string(None)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that feeds tables of a schema.

    Attributes
    ----------
    name, schema
        Its name, and the schema.
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


def read_subscriptions(connection: sa.Connection, name_of: NameOf) -> tuple[Subscription, ...]:
    """Return the subscriptions that a job has made in this database, by schema."""
    if (connection.dialect.server_version_info or ()) < (15,):
        return ()
    found = []
    for row in execute_query(connection, read_query("follow.subscriptions")):
        if row.name != name_of(row.schema):
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


def find_subscription(connection: sa.Connection, schema: str, name_of: NameOf) -> Subscription | None:
    """Return the subscription that a job has made for a schema; None if there is none."""
    return next((one for one in read_subscriptions(connection, name_of) if one.schema == schema), None)


def primary_url(connection: sa.Connection, name: str) -> sa.URL | None:
    """Return where a subscription connects to; None if there is none, or if the role may not know.

    Superusers may: it may hold a password.
    """
    table = sa.table("pg_subscription", *map(sa.column, ("subname", "subconninfo")), schema="pg_catalog")
    query = sa.select(table.c.subconninfo).where(table.c.subname == name)
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


def drop_slot(primary: sa.Connection, name: str, subject: str) -> None:
    """Drop the slot of an earlier subscription of a follower, or of one that came to nothing, if it is there.

    Parameters
    ----------
    primary
        Connection to the primary, in no transaction.
    name
        Name of the slot.
    subject
        What is followed, in words.

    Raises
    ------
    FollowerError
        Raised if it stays in use.
    """
    begun = time.monotonic()
    while (slot := read_slot(primary, name)) is not None and slot.active:
        if time.monotonic() - begun > _PATIENCE_S:
            raise FollowerError(
                f"its slot {name} is in use, as by a copy of this server",
                "end that subscription, or give the database of the follower another name",
                subject,
            )
        time.sleep(_PAUSE_S)
    if slot is not None:
        primary.execute(sa.select(sa.func.pg_drop_replication_slot(name)))


def subscribed_tables(connection: sa.Connection, schema: str, name: str) -> tuple[str, ...]:
    """Return the tables of a schema that a subscription feeds."""
    rows = execute_query(connection, read_query("check.subscribed"))
    return tuple(row.name for row in rows if row.schema == schema and row.subscription == name)


def unsubscribe(name: str, found: Subscription | None, place: URL | None, application: str) -> Iterator[str]:
    """Yield what ends a subscription, with its slot if that can be seen at the primary.

    Parameters
    ----------
    name, found
        Its name, and how it fares; nothing is yielded if it is not there.
    place
        Where the primary is; None if that is not known.
    application
        Name under which the session is seen there.
    """
    if found is None:
        return
    with_slot = False
    if place is not None:
        try:
            with checked_connection(place, read_only=True, application_name=application) as connection:
                with_slot = read_slot(connection, found.slot) is not None
        except DatabaseUnavailableError:
            # The slot has to be dropped there once the server is back.
            with_slot = False
    yield from drop_subscription(name, with_slot=with_slot)


def resume(name: str, url: URL | None, found: Subscription) -> Iterator[str]:
    """Yield what lets a subscription go on, from another address perhaps."""
    if url is not None:
        yield alter_subscription(name, "CONNECTION {}", conninfo(url))
    if not found.is_enabled:
        yield alter_subscription(name, "ENABLE")


def require_follower(follower: sa.Connection, function: str, init: str) -> int:
    """Check that a database can follow others; return PostgreSQL's version.

    Parameters
    ----------
    follower
        Connection to the follower.
    function
        A function of tapdb that following needs, with its arguments.
    init
        The command that makes it.

    Raises
    ------
    FollowerError
        Raised if it cannot.
    """
    setting = sa.func.current_setting
    version, superuser, user = follower.execute(
        sa.select(
            sa.cast(setting("server_version_num"), sa.Integer()),
            setting("is_superuser"),
            sa.func.current_user(),
        )
    ).one()
    if superuser != "on":
        # Subscriptions, and triggers that are always enabled.
        raise FollowerError(
            f'user "{user}" lacks a right: subscriptions are made by superusers of the follower',
            "connect as one",
        )
    if version < OLDEST_VERSION:
        raise FollowerError("the follower runs PostgreSQL 14 or older", "15 is the first that will do")
    if follower.scalar(sa.select(sa.func.to_regprocedure(function))) is None:
        raise FollowerError("this database lacks what follows replication", f"run: {init}")
    return int(version)


def problems_here(one: Subscription, subject: str, resume_by: str) -> Iterator[Finding]:
    """Yield what is wrong with a subscription, as far as the follower itself knows.

    Parameters
    ----------
    one
        The subscription.
    subject
        What it follows, in words.
    resume_by
        The command that lets it go on.
    """
    if not one.is_enabled:
        yield following_error(subject, "its subscription is disabled", f"{resume_by} enables it")
    elif not one.is_at_work and one.apply_errors:
        said = f"its subscription stops at a change that it cannot apply ({one.apply_errors} times)"
        yield following_error(subject, said, f"the log of this server says why; then {resume_by}")
    elif not one.is_at_work:
        remedy = "the log of this server says why: the primary, the network, or too few worker processes"
        yield following_error(subject, "its subscription does not run", remedy)
    if one.copying:
        failed = f", which has failed {one.copy_errors} times" if one.copy_errors else ""
        said = f"{one.copying} of {one.tables} tables are being copied{failed}"
        yield Finding("warning", "copying", subject, said)


def problems_there(
    one: Subscription, copies: Iterable[PrimaryTable], primary: Primary, slot: Slot | None, command: str
) -> Iterator[Finding]:
    """Yield what is wrong with a subscription, as far as the primary knows.

    Parameters
    ----------
    one
        The subscription.
    copies
        The tables of the follower, with the columns that come from the primary.
    primary
        The schema at the primary, with the tables that are followed.
    slot
        What the primary keeps for the follower.
    command
        The command whose ``add`` and ``rebuild`` mend it.
    """
    subject = primary.subject
    add, rebuild = (f"{command} {word} {one.schema}" for word in ("add", "rebuild"))
    if slot is None or slot.wal_status == "lost":
        said = "was dropped" if slot is None else "is lost: the primary has removed WAL that was still needed"
        yield following_error(subject, f"its slot {one.slot} {said}", rebuild)
    elif slot.wal_status == "unreserved":
        said = f"its slot is about to be lost: {slot.behind_bytes} bytes behind"
        yield following_error(subject, said, "let the follower catch up")
    if primary.published is None:
        yield following_error(subject, f"the publication {primary.publication} was dropped", rebuild)
    here = {copy.name: copy for copy in copies}
    published = primary.published.columns if primary.published is not None else {}
    known = {table.name: table for table in primary.copies if table.name in published}
    there = {table.name for table in primary.tables}
    if gone := sorted(here.keys() - there):
        said = f"dropped at the primary: {', '.join(gone)}; what is here stays as it was"
        yield following_error(subject, said, f"{command} remove {one.schema}, then {command} add as at first")
    if primary.published is not None and (hidden := sorted((here.keys() & there) - known.keys())):
        said = f"no longer published: {', '.join(hidden)}"
        yield following_error(subject, said, f"publish them again; then {rebuild}")
    for name, copy in here.items():
        if (table := known.get(name)) is not None and (said := difference(copy, table)):
            yield following_error(f"table {one.schema}.{name}", said, add)
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


def following_error(subject: str, problem: str, remedy: str) -> Finding:
    """Return that something is not followed as it should be."""
    return Finding("error", "following", subject, problem, remedy)


SHOWN = ("state", "primary", "tables", "behind_bytes", "safe_bytes", "silent_s", "errors")
"""What ``status`` shows of a subscription, besides what it follows."""


def figures(one: Subscription, slot: Slot | None, place: URL | None) -> dict[str, Any]:
    """Return what ``status`` shows of a subscription."""
    return {
        "state": "copying" if one.copying else "following" if one.is_at_work else "stopped",
        "primary": "" if place is None else without_password(place),
        "tables": one.tables,
        "behind_bytes": None if slot is None else slot.behind_bytes,
        "safe_bytes": None if slot is None else slot.safe_bytes,
        "silent_s": None if one.silent_s is None else round(one.silent_s, 1),
        "errors": one.apply_errors + one.copy_errors,
    }


def service_figures(one: Subscription, kind: str) -> Iterator[tuple[str, str, Mapping[str, str], float]]:
    """Yield what a service tells Prometheus of a subscription: name, meaning, labels and value of a figure.

    Parameters
    ----------
    one
        The subscription.
    kind
        What its schema is: the label's name.
    """
    labels = {kind: one.schema}
    prefix = "tapdb_follow" if kind == "registry" else f"tapdb_follow_{kind}"
    yield f"{prefix}_running", "Whether its changes are applied.", labels, float(one.is_at_work)
    yield f"{prefix}_copying", "Tables that are not copied yet.", labels, float(one.copying)
    errors = float(one.apply_errors + one.copy_errors)
    yield f"{prefix}_errors", "How often applying changes has failed.", labels, errors
    if one.silent_s is not None:
        yield f"{prefix}_silent_seconds", "Time since its primary was heard.", labels, one.silent_s


def run_each(url: str | sa.URL | None, statements: Iterable[str], who: str) -> None:
    """Run statements each by itself: none of them waits with a lock of another one in hand.

    Parameters
    ----------
    url
        Where to run them.
    statements
        The statements.
    who
        Name under which a DBA sees the session.
    """
    with checked_connection(url, application_name=who) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            execute_text(connection, statement)


def run_together(url: str | sa.URL | None, statements: Iterable[str], who: str) -> None:
    """Run statements in one transaction.

    Parameters
    ----------
    url, statements, who
        As for `run_each`.
    """
    with checked_connection(url, application_name=who) as connection:
        for statement in statements:
            execute_text(connection, statement)
        connection.commit()
