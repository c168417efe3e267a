"""A PPDB that is written on another server, followed by logical replication; its versions are kept here.

Rows are taken as of the very moment at which a new slot begins, and become one snapshot; from there on each
transaction of the primary is one. All that changes here is one transaction, with the subscription in it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ppdb_replay.tables import PUBLISHED, SYSTEM_COLUMNS, position_index
from ppdb_replay.versions.columns import add_column, drop_column
from ppdb_replay.versions.install import install
from ppdb_replay.versions.replace import replace_rows
from ppdb_replay.versions.triggers import drop_following_statements, following_statements, listed
from ppdb_replay.versions.versioned_table import (
    VersionedTable,
    read_followed,
    read_versioned_tables,
)
from tapdb.errors import DatabaseUnavailableError
from tapdb.findings import Finding
from tapdb.postgres.engine import checked_connection, describe_target, driver_connection
from tapdb.replication import subscription
from tapdb.replication.primary import (
    FollowerError,
    Primary,
    PrimaryTable,
    publish,
    read_primary,
    read_tables,
)
from tapdb.sources import execute_composed, execute_text

NAME = "tapdb ppdb follow"
"""Name under which a DBA sees the sessions, here and at the primary; and the command."""

_OWNER = sql.Identifier("tapdb_owner")
_READER = sql.Identifier("tapdb_reader")

RowsProgress = Callable[[int, int | None, str], None]
"""Called with the tables whose rows are here, how many there are, and the name of the next."""


def subscription_name(schema: str) -> str:
    """Return the name of the subscription that feeds the tables of a PPDB."""
    return f"tapdb_versions_{schema}"[: subscription.LONGEST_NAME]


def _subject_of(schema: str) -> str:
    return f'PPDB in schema "{schema}"'


@dataclass(frozen=True)
class PpdbPlan:
    """What has to be done for a database to follow a PPDB.

    Attributes
    ----------
    primary, url
        The tables at their primary, and where that is.
    found
        The subscription that there is; None if there is none.
    slot, version
        Name of the slot, and PostgreSQL's version here.
    new
        Names of tables that are not here yet.
    added, dropped
        Columns that came or went at the primary: name of the table, of the column, and its type.
    takes_rows
        Whether all rows are taken from the primary; else the subscription goes on.
    moved
        Where the subscription is to connect from now on; None if it stays.
    """

    primary: Primary
    url: sa.URL
    found: subscription.Subscription | None
    slot: str
    version: int
    new: frozenset[str]
    added: tuple[tuple[str, str, str], ...]
    dropped: tuple[tuple[str, str, str], ...]
    takes_rows: bool
    moved: sa.URL | None

    @property
    def name(self) -> str:
        """Name of the subscription."""
        return subscription_name(self.primary.schema)

    @property
    def subscribing(self) -> str:
        """Statement that makes the subscription, once the rows are here."""
        publication = self.primary.publication
        return subscription.make_subscription(
            self.name, self.url, publication, self.slot, self.version, has_rows=True
        )

    @property
    def resuming(self) -> tuple[str, ...]:
        """Statements that let the subscription go on."""
        return () if self.found is None else tuple(subscription.resume(self.name, self.moved, self.found))


def plan_following(
    follower: sa.Connection,
    schema: str,
    *,
    url: sa.URL | None = None,
    publication: str | None = None,
    tables: Sequence[str] = (),
    again: bool = False,
) -> PpdbPlan:
    """Return what has to be done for a database to follow a PPDB; nothing is changed.

    Parameters
    ----------
    follower
        Connection to the database.
    schema
        Schema of the tables, the same on both sides.
    url
        Where the primary is; what the subscription says if not given.
    publication
        Name of the publication; that of the subscription by default.
    tables
        Names of tables to follow, besides those that are followed; by default those of
        `ppdb_replay.tables.PUBLISHED` that the primary has.
    again
        Whether all rows are to be taken again.

    Raises
    ------
    FollowerError
        Raised if the database cannot follow these tables.
    PrimaryNotReadyError
        Raised if the primary does not allow it yet.
    """
    version = subscription.require_follower(follower, "ppdb_history.fold()", "tapdb follow init")
    found = subscription.find_subscription(follower, schema, subscription_name)
    place = url or subscription.primary_url(follower, subscription_name(schema))
    if place is None:
        raise FollowerError("it is not followed yet", "say where it is: --primary URL", _subject_of(schema))
    primary = _read_primary(follower, schema, place, publication, tables, found)
    primary.require_ready(slots=found is None)
    here = {one.name: one for one in own_tables(follower, schema)}
    names = {one.name for one in primary.tables}
    _require_room(follower, schema, names, here.keys())
    added, dropped = [], []
    for table in primary.copies:
        came, went = _changes(schema, here.get(table.name), table)
        added += came
        dropped += went
    followed = subscription.subscribed_tables(follower, schema, subscription_name(schema))
    new_columns = _with_values(place, schema, added)
    return PpdbPlan(
        primary=primary,
        url=place,
        found=found,
        slot=subscription.slot_for(follower, schema),
        version=version,
        new=frozenset(names - here.keys()),
        added=tuple(added),
        dropped=tuple(dropped),
        takes_rows=again or found is None or new_columns or not names <= {*followed},
        moved=url,
    )


def _read_primary(
    follower: sa.Connection,
    schema: str,
    place: sa.URL,
    publication: str | None,
    tables: Sequence[str],
    found: subscription.Subscription | None,
) -> Primary:
    wanted = {*tables, *subscription.subscribed_tables(follower, schema, subscription_name(schema))}
    name = publication or (found.publication if found is not None else subscription_name(schema))
    with checked_connection(place, read_only=True, application_name=NAME) as connection:
        there = {one.name: one for one in read_tables(connection, schema)}
        wanted = wanted or {*PUBLISHED} & there.keys()
        if lacking := sorted(wanted - there.keys()) or ([] if wanted else list(PUBLISHED[:3])):
            raise FollowerError(
                f"the primary has no table {', '.join(lacking)}",
                "name the schema of its PPDB, and its tables by --table",
                _subject_of(schema),
            )
        primary = read_primary(connection, _subject_of(schema), schema, wanted, name)
    for table in primary.tables:
        if {one.name for one in table.columns} & {*SYSTEM_COLUMNS}:
            raise FollowerError(
                f"the primary keeps the versions of {table.name} itself",
                "a physical standby of it has them all",
                _subject_of(schema),
            )
    return primary


def _require_room(
    follower: sa.Connection, schema: str, names: Collection[str], here: Collection[str]
) -> None:
    """Check that tables of these names are versioned, or free to be made."""
    versioned = {one.name: one.schema for one in read_versioned_tables(follower)}
    for name in sorted(names):
        if name in versioned and versioned[name] != schema:
            raise FollowerError(
                f"versions of a table {name} are kept here already, of schema {versioned[name]}",
                "follow it into another database",
                _subject_of(schema),
            )
        if name in here and name not in versioned:
            raise FollowerError(
                f"a table {name} is here, of which no versions are kept",
                f"tapdb ppdb install --schema {schema} --table {name}, or follow it into another database",
                _subject_of(schema),
            )


def own_tables(follower: sa.Connection, schema: str) -> tuple[PrimaryTable, ...]:
    """Return the tables of a schema here, of versioned ones with the columns that they have now."""
    versioned = _versioned(follower, schema)
    return tuple(
        one.narrowed(versioned[one.name].columns_now) if one.name in versioned else one
        for one in read_tables(follower, schema)
    )


def _versioned(follower: sa.Connection, schema: str) -> Mapping[str, VersionedTable]:
    return {one.name: one for one in read_versioned_tables(follower) if one.schema == schema}


_PlacedColumn = tuple[str, str, str]


def _changes(
    schema: str, mine: PrimaryTable | None, table: PrimaryTable
) -> tuple[list[_PlacedColumn], list[_PlacedColumn]]:
    """Return the columns that came and that went.

    Raises
    ------
    FollowerError
        Raised if a column has another type than here: its versions have that for good.
    """
    if mine is None:
        return [], []
    types = {one.name: one.type for one in mine.columns}
    theirs = {one.name: one.type for one in table.columns}
    if any(types[name] != kind for name, kind in theirs.items() if name in types):
        raise FollowerError(
            f"table {table.name}: {subscription.difference(mine, table)}, "
            "and versions have the type that they had",
            f"tapdb ppdb follow remove {schema}; tapdb ppdb uninstall; then drop the tables, and add again",
            _subject_of(schema),
        )
    came = [(table.name, name, kind) for name, kind in theirs.items() if name not in types]
    went = [(table.name, name, kind) for name, kind in types.items() if name not in theirs]
    return came, went


def _with_values(place: sa.URL, schema: str, added: Sequence[_PlacedColumn]) -> bool:
    """Return whether columns that came have values at the primary."""
    if not added:
        return False
    with checked_connection(place, read_only=True, application_name=NAME) as connection:
        for table, name, _ in added:
            column: sa.ColumnClause[object] = sa.column(name)
            query = sa.select(
                sa.exists().select_from(sa.table(table, column, schema=schema)).where(column.is_not(None))
            )
            if connection.scalar(query):
                return True
    return False


def prepare(url: str | sa.URL | None, plan: PpdbPlan) -> None:
    """Publish what is needed, and change columns here; before the transaction that `follow` works in.

    Parameters
    ----------
    url
        The follower.
    plan
        What `plan_following` gave.

    Raises
    ------
    PrimaryNotReadyError
        Raised if the role may not publish what is not published yet.
    """
    if plan.primary.publishing:
        with checked_connection(plan.url, application_name=NAME) as connection:
            publish(connection, plan.primary)
    if plan.found is not None and (plan.takes_rows or plan.added or plan.dropped):
        subscription.run_each(url, (subscription.alter_subscription(plan.name, "DISABLE"),), NAME)
    for table, name, kind in plan.added:
        with checked_connection(url, application_name=NAME) as connection:
            add_column(connection, table, name, kind)
            connection.commit()
    for table, name, _ in plan.dropped:
        with checked_connection(url, application_name=NAME) as connection:
            drop_column(connection, table, name)
            connection.commit()


def follow(connection: sa.Connection, plan: PpdbPlan, show: RowsProgress | None = None) -> None:
    """Do what a plan says, after `prepare`; nothing is committed here.

    Parameters
    ----------
    connection
        Connection to the follower, in a transaction.
    plan
        What `plan_following` gave.
    show
        Told of which tables the rows are here.

    Raises
    ------
    DatabaseUnavailableError
        Raised if the primary cannot be reached.
    FollowerError
        Raised if the slot of an earlier subscription does not become free.
    """
    schema = plan.primary.schema
    names = [one.name for one in plan.primary.tables]
    if not plan.takes_rows:
        _follow_changes(connection, schema, names)
        # A disabled subscription was read before, perhaps.
        for statement in plan.resuming:
            execute_text(connection, statement)
        execute_text(connection, subscription.alter_subscription(plan.name, "ENABLE"))
        return
    with _new_slot(plan) as snapshot, _reading(plan, snapshot) as source:
        if plan.found is not None:
            for statement in subscription.drop_subscription(plan.name, with_slot=False):
                execute_text(connection, statement)
        _take_rows(connection, plan, source, show)
        _follow_changes(connection, schema, names)
        execute_text(connection, plan.subscribing)


def _take_rows(
    connection: sa.Connection,
    plan: PpdbPlan,
    source: psycopg.Connection[tuple[object, ...]],
    show: RowsProgress | None,
) -> None:
    """Make the tables hold the rows of the primary, as one snapshot."""
    schema, target = plan.primary.schema, driver_connection(connection)
    made = [one for one in plan.primary.copies if one.name in plan.new]
    if made:
        _make_schema(connection, schema)
    # Rows that others must not write here are written now.
    execute_text(connection, "SET LOCAL session_replication_role = replica")
    for number, table in enumerate(plan.primary.copies):
        if show is not None:
            show(number, len(plan.primary.copies), table.name)
        columns = [one.name for one in table.columns]
        blocks = _blocks(source, schema, table.name, columns)
        if table.name not in plan.new:
            replace_rows(target, table.name, columns, blocks)
            continue
        _make_table(connection, schema, table)
        copy_in = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(schema, table.name), listed(columns)
        )
        with target.cursor() as cursor, cursor.copy(copy_in) as copy:
            for block in blocks:
                copy.write(block)
    execute_text(connection, "SET LOCAL session_replication_role = origin")
    for statement in subscription.make_indexes(schema, made):
        execute_text(connection, statement)
    for table in made:
        if {"ra", "dec"} <= {one.name for one in table.columns}:
            execute_composed(connection, position_index(schema, table.name, f"IDX_{table.name}_position"))
    if made:
        install(connection, schema=schema, tables=[one.name for one in made])


def _blocks(
    source: psycopg.Connection[tuple[object, ...]], schema: str, table: str, columns: Sequence[str]
) -> Iterator[bytes]:
    copy_out = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(schema, table), listed(columns))
    with source.cursor() as cursor, cursor.copy(copy_out) as copy:
        yield from map(bytes, copy)


def _make_schema(connection: sa.Connection, schema: str) -> None:
    name = sql.Identifier(schema)
    if connection.scalar(sa.select(sa.func.to_regnamespace(name.as_string()))) is None:
        execute_composed(connection, sql.SQL("CREATE SCHEMA {}").format(name))
    # Functions of tapdb read the rows, and the type that a row has.
    execute_composed(connection, sql.SQL("GRANT USAGE ON SCHEMA {} TO {}, {}").format(name, _OWNER, _READER))


def _make_table(connection: sa.Connection, schema: str, table: PrimaryTable) -> None:
    name = sql.Identifier(schema, table.name)
    for statement in subscription.make_tables(schema, (table,)):
        execute_text(connection, statement)
    execute_composed(connection, sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, _OWNER))
    execute_composed(connection, sql.SQL("GRANT SELECT ON {} TO {}").format(name, _READER))


def _follow_changes(connection: sa.Connection, schema: str, tables: Sequence[str]) -> None:
    """Let versions be kept of what the subscription writes, and refuse what others write."""
    for name in tables:
        for statement in following_statements(schema, name):
            execute_composed(connection, statement)


@contextmanager
def _new_slot(plan: PpdbPlan) -> Iterator[str]:
    """Make the slot, and give the snapshot of the rows as of its beginning; it is dropped after an error."""
    with checked_connection(plan.url, application_name=NAME) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        subscription.drop_slot(connection, plan.slot, plan.primary.subject)
    words = sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'export')")
    try:
        session = psycopg.connect(
            make_conninfo(subscription.conninfo(plan.url), replication="database", application_name=NAME),
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(describe_target(plan.url), str(error)) from error
    with session:
        made = session.execute(words.format(sql.Identifier(plan.slot))).fetchall()
        try:
            yield str(made[0][2])
        except BaseException:
            session.close()
            with suppress(DatabaseUnavailableError), checked_connection(plan.url) as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                subscription.drop_slot(connection, plan.slot, plan.primary.subject)
            raise


@contextmanager
def _reading(plan: PpdbPlan, snapshot: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Give a session at the primary that sees the rows as of a snapshot."""
    with checked_connection(plan.url, read_only=True, application_name=NAME) as connection:
        driver = driver_connection(connection)
        driver.rollback()
        driver.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        driver.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        driver.execute("SET LOCAL extra_float_digits = 1")
        driver.execute("SET LOCAL datestyle = 'ISO'")
        yield driver


def plan_end(follower: sa.Connection, schema: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what ends a subscription, and what lets the tables be written by others; rows and versions stay.

    Parameters
    ----------
    follower
        Connection to the follower.
    schema
        Schema of the tables.

    Raises
    ------
    FollowerError
        Raised if it is not followed.
    """
    subscription.require_follower(follower, "ppdb_history.fold()", "tapdb follow init")
    found = subscription.find_subscription(follower, schema, subscription_name)
    followed = sorted(one for one in read_followed(follower) if one[0] == schema)
    if found is None and not followed:
        raise FollowerError(
            "it is not followed", "tapdb ppdb follow status lists what is", _subject_of(schema)
        )
    name = subscription_name(schema)
    ended = tuple(subscription.unsubscribe(name, found, subscription.primary_url(follower, name), NAME))
    freed = (one for table in followed for one in drop_following_statements(*table))
    return ended, tuple(one.as_string() for one in freed)


def end(url: str | sa.URL | None, ended: Sequence[str], freed: Sequence[str]) -> None:
    """End a subscription and free its tables, as `plan_end` says."""
    subscription.run_each(url, ended, NAME)
    subscription.run_together(url, freed, NAME)


def followed_ppdbs(connection: sa.Connection) -> tuple[subscription.Subscription, ...]:
    """Return the subscriptions that feed tables of a PPDB, by schema."""
    return subscription.read_subscriptions(connection, subscription_name)


def problems(connection: sa.Connection) -> Iterator[Finding]:
    """Yield what is wrong with the following of PPDBs, as far as the follower itself knows.

    Parameters
    ----------
    connection
        Connection to the follower.
    """
    followed, fed = read_followed(connection), set()
    for one in followed_ppdbs(connection):
        add = f"{NAME} add {one.schema}"
        yield from subscription.problems_here(one, _subject_of(one.schema), add)
        tables = {
            (one.schema, name) for name in subscription.subscribed_tables(connection, one.schema, one.name)
        }
        fed |= tables
        if lost := sorted(name for _, name in tables - followed):
            said = (
                f"nothing keeps versions of what its subscription writes to {', '.join(lost)}: it is refused"
            )
            yield Finding("error", "following", _subject_of(one.schema), said, add)
    for schema, name in sorted(followed - fed):
        said = "no subscription feeds it, and others may not write it"
        yield Finding(
            "error",
            "following",
            f"{schema}.{name}",
            said,
            f"{NAME} add {schema} --primary URL follows it again, {NAME} remove {schema} ends that",
        )


def problems_at_primary(
    connection: sa.Connection, one: subscription.Subscription, place: sa.URL
) -> tuple[list[Finding], subscription.Slot | None]:
    """Return what is wrong with a subscription as far as the primary knows, and its slot there.

    Parameters
    ----------
    connection
        Connection to the follower.
    one
        The subscription.
    place
        Where the primary is.

    Raises
    ------
    DatabaseUnavailableError
        Raised if the primary cannot be reached.
    """
    tables = subscription.subscribed_tables(connection, one.schema, one.name)
    mine = [table for table in own_tables(connection, one.schema) if table.name in tables]
    with checked_connection(place, read_only=True, application_name=NAME) as primary:
        slot = subscription.read_slot(primary, one.slot)
        facts = read_primary(primary, _subject_of(one.schema), one.schema, tables, one.publication)
    return list(subscription.problems_there(one, mine, facts, slot, NAME)), slot


def read_figures(connection: sa.Connection) -> Iterator[tuple[str, str, Mapping[str, str], float]]:
    """Yield what a service tells Prometheus of each PPDB: name, meaning, labels and value of a figure.

    Parameters
    ----------
    connection
        Connection to the follower, of any role.
    """
    for one in followed_ppdbs(connection):
        yield from subscription.service_figures(one, "ppdb")
