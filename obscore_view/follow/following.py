"""What begins, mends and ends the following of a registry, in steps each of which may be run again."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg import sql

from obscore_view.config.model import ObsCoreConfig
from obscore_view.errors import FollowerError
from obscore_view.follow.copies import (
    COMMENT,
    alter_subscription,
    change_publication,
    conninfo,
    drop_copies,
    drop_subscription,
    drop_triggers,
    empty_copies,
    make_copies,
    make_indexes,
    make_subscription,
    make_triggers,
    slot_name,
    subscription_name,
)
from obscore_view.follow.primary import (
    OLDEST_VERSION,
    Primary,
    PrimaryTable,
    publish,
    read_primary,
    read_tables,
    tables_to_copy,
)
from obscore_view.follow.state import (
    Subscription,
    copied_tables,
    difference,
    find_subscription,
    following_triggers,
    primary_url,
    read_slot,
    wanted_triggers,
)
from obscore_view.mapping import match_mapping
from obscore_view.registry.read import read_registry
from obscore_view.select.statement import kept_layout
from obscore_view.view.changes import plan_view
from obscore_view.view.keeping import EVENTS
from obscore_view.view.make import stored_config
from obscore_view.view.script import kept_steps
from obscore_view.view.store import STAGES, StoredView, read_stored_views
from tapdb.errors import DatabaseUnavailableError
from tapdb.postgres.engine import checked_connection
from tapdb.sources import execute_text

NAME = "tapdb follow"
"""Name under which a DBA sees the sessions, here and at the primary."""

_PAUSE_S = 0.1
_MOST_FAILURES = 3
_PATIENCE_S = 10.0

CopyProgress = Callable[[int, int | None, str], None]
"""Called with the tables that are copied, how many there are, and what is being done."""


@dataclass(frozen=True, slots=True)
class FollowingPlan:
    """What has to be done for a follower to have a registry.

    Attributes
    ----------
    primary
        The registry at its primary.
    url
        Where that is.
    first
        Statements outside of transactions, to begin with: they end a subscription.
    copies
        Statements of one transaction on the follower.
    last
        Statements outside of transactions: they begin a subscription, or let it go on.
    """

    primary: Primary
    url: sa.URL
    copies: tuple[str, ...]
    last: tuple[str, ...]
    first: tuple[str, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        """All that is run on the follower, less what follows from the rows."""
        return (*self.first, *self.copies, *self.last)


def require_follower(follower: sa.Connection) -> int:
    """Check that a database can follow registries; return PostgreSQL's version.

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
    if follower.scalar(sa.select(sa.func.to_regprocedure("tapdb.follow()"))) is None:
        raise FollowerError("this database lacks what follows replication", "run: tapdb follow init")
    return int(version)


def is_copy(follower: sa.Connection, schema: str) -> bool:
    """Return whether a schema holds copies that were made to follow a registry."""
    name = sa.func.to_regnamespace(sql.Identifier(schema).as_string(None))
    query = sa.select(sa.func.obj_description(sa.cast(name, sa.dialects.postgresql.OID()), "pg_namespace"))
    return follower.scalar(query) == COMMENT


def followed_schemas(follower: sa.Connection) -> tuple[str, ...]:
    """Return the schemas of the registries that a database follows, or has begun to."""
    spaces = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")), schema="pg_catalog")
    said = sa.func.obj_description(spaces.c.oid, "pg_namespace")
    query = sa.select(spaces.c.nspname).where(said == COMMENT).order_by(spaces.c.nspname)
    return tuple(follower.scalars(query))


def views_over(follower: sa.Connection, schema: str) -> tuple[StoredView, ...]:
    """Return the views over the copy of a registry."""
    return tuple(one for one in read_stored_views(follower, STAGES) if one.registry_schema == schema)


def plan_following(
    follower: sa.Connection,
    schema: str,
    config: ObsCoreConfig | None = None,
    *,
    url: sa.URL | None = None,
    publication: str | None = None,
) -> FollowingPlan:
    """Return what has to be done for a follower to have a registry; nothing is changed.

    Parameters
    ----------
    follower
        Connection to the follower.
    schema
        Schema of the registry, the same on both sides.
    config
        What a view is to show, besides those that there are.
    url
        Where the primary is; what the subscription says if not given.
    publication
        Name of the publication; that of the subscription by default.

    Raises
    ------
    FollowerError
        Raised if the follower cannot have the registry, or its copies have to be made again.
    PrimaryNotReadyError
        Raised if the primary does not allow it yet.
    """
    version = require_follower(follower)
    found = find_subscription(follower, schema)
    primary, place = _primary_of(follower, schema, config, url, publication)
    mine = copies_of(follower, schema)
    if found is None and mine:
        if is_copy(follower, schema):
            raise FollowerError(
                "its copies are here, and no subscription feeds them",
                f"tapdb follow rebuild {schema} --primary URL",
                schema,
            )
        raise FollowerError(
            "tables of this name are here: two registries of one schema, or the primary itself",
            "follow it into another database, which subscriptions write by the names of the primary",
            schema,
        )
    new = [one for one in primary.copies if one.name not in {copy.name for copy in mine}]
    copies = (*_mended(schema, mine, primary, place), *make_copies(schema, new, is_first=found is None))
    if found is None:
        return FollowingPlan(primary, place, copies, (_subscribe(follower, primary, place, version),))
    last = list(_resume(schema, url, found))
    if found.publication != primary.publication:
        last.append(change_publication(schema, primary.publication))
    elif new:
        last.append(alter_subscription(schema, "REFRESH PUBLICATION"))
    return FollowingPlan(primary, place, copies, tuple(last))


def plan_again(
    follower: sa.Connection,
    schema: str,
    *,
    url: sa.URL | None = None,
    publication: str | None = None,
) -> FollowingPlan:
    """Return what copies all rows of a registry again, as after the loss of a slot; nothing is changed.

    Kept tables stay as they are meanwhile, and answer.

    Parameters
    ----------
    follower, schema, url, publication
        As for `plan_following`.

    Raises
    ------
    FollowerError, PrimaryNotReadyError
        Raised as by `plan_following`; besides, if columns of the primary differ from those of the copies.
    """
    version = require_follower(follower)
    if not is_copy(follower, schema):
        raise FollowerError("it is not followed", f"tapdb follow add {schema} --primary URL", schema)
    primary, place = _primary_of(follower, schema, None, url, publication)
    mine = copies_of(follower, schema)
    known = {one.name: one for one in primary.copies}
    differing = [
        f"{one.name}: {said}"
        for one in mine
        if (table := known.get(one.name)) is not None and (said := difference(one, table))
    ]
    if differing:
        raise FollowerError(
            f"the primary has changed its tables ({'; '.join(differing)})",
            f"tapdb follow remove {schema}, then tapdb follow add {schema} --primary URL -c FILE",
            schema,
        )
    new = [one for one in known.values() if one.name not in {copy.name for copy in mine}]
    triggers = following_triggers(follower, schema)
    copies = (
        # The triggers of kept tables are not for this: what they keep stays until there are rows again.
        "SET LOCAL session_replication_role = replica",
        *drop_triggers(schema, sorted(triggers)),
        *empty_copies(schema, [one.name for one in mine]),
        *make_copies(schema, new, is_first=False),
    )
    ended = tuple(_unsubscribe(follower, schema, place))
    return FollowingPlan(primary, place, copies, (_subscribe(follower, primary, place, version),), ended)


def _primary_of(
    follower: sa.Connection,
    schema: str,
    config: ObsCoreConfig | None,
    url: sa.URL | None,
    publication: str | None,
) -> tuple[Primary, sa.URL]:
    """Return the registry at its primary, which allows to follow it, and where that is."""
    found = find_subscription(follower, schema)
    place = url or primary_url(follower, schema)
    if place is None:
        raise FollowerError("it is not followed yet", "say where it is: --primary URL", schema)
    configs = [stored_config(one) for one in views_over(follower, schema)]
    configs += [config] if config is not None else []
    name = publication or (found.publication if found is not None else subscription_name(schema))
    with checked_connection(place, read_only=True, application_name=NAME) as connection:
        registry = read_registry(connection, schema)
        names = {one for each in configs for one in tables_to_copy(match_mapping(each, registry))}
        names |= {*copied_tables(follower, schema)} & registry.columns.keys()
        if not names:
            raise FollowerError("there is no view over it", "say what it is to show: -c FILE", schema)
        primary = read_primary(connection, schema, names, name)
    primary.require_ready(slots=found is None)
    return primary, place


def copies_of(follower: sa.Connection, schema: str) -> tuple[PrimaryTable, ...]:
    """Return the tables of a registry that are here."""
    return read_tables(follower, schema)


def _mended(schema: str, mine: Sequence[PrimaryTable], primary: Primary, place: sa.URL) -> Iterator[str]:
    """Yield what gives copies the columns that the primary has added to its tables.

    Raises
    ------
    FollowerError
        Raised if that is not enough.
    """
    known = {one.name: one for one in primary.copies}
    for copy in mine:
        table = known.get(copy.name)
        if table is None or not (said := difference(copy, table)):
            continue
        types = {one.name: one.type for one in table.columns}
        mended = {one.name: types.get(one.name, one.type) == one.type for one in copy.columns}
        added = [one for one in table.columns if one.name not in mended]
        if not all(mended.values()) or _have_values(place, schema, table, [one.name for one in added]):
            raise FollowerError(
                f"table {copy.name}: {said}, and rows that are here would have other values",
                f"tapdb follow remove {schema}, then tapdb follow add {schema} --primary URL -c FILE",
                schema,
            )
        name = sql.Identifier(schema, copy.name)
        for one in added:
            words = sql.SQL("ALTER TABLE {} ADD COLUMN {} {}")
            yield words.format(name, sql.Identifier(one.name), sql.SQL(one.type)).as_string(None)
        for one in copy.columns:
            if one.not_null and one.name not in types:
                words = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL")
                yield words.format(name, sql.Identifier(one.name)).as_string(None)


def _have_values(place: sa.URL, schema: str, table: PrimaryTable, columns: Sequence[str]) -> bool:
    """Return whether a table at the primary has values in some columns."""
    if not columns:
        return False
    relation = sa.table(table.name, *map(sa.column, columns), schema=schema)
    query = sa.select(sa.exists().where(sa.or_(*(one.is_not(None) for one in relation.c))))
    with checked_connection(place, read_only=True, application_name=NAME) as connection:
        return bool(connection.scalar(query))


def _subscribe(follower: sa.Connection, primary: Primary, place: sa.URL, version: int) -> str:
    url = follower.engine.url
    database = follower.scalar(sa.select(sa.func.current_database()))
    slot = slot_name(primary.schema, f"{url.host}/{database}")
    return make_subscription(primary.schema, place, primary.publication, slot, version)


def _resume(schema: str, url: sa.URL | None, found: Subscription) -> Iterator[str]:
    """Yield what lets a subscription go on, from another address perhaps."""
    if url is not None:
        yield alter_subscription(schema, "CONNECTION {}", conninfo(url))
    if not found.is_enabled:
        yield alter_subscription(schema, "ENABLE")


def _unsubscribe(follower: sa.Connection, schema: str, place: sa.URL | None) -> Iterator[str]:
    """Yield what ends a subscription, with its slot if that is there."""
    if (found := find_subscription(follower, schema)) is None:
        return
    with_slot = False
    if place is not None:
        try:
            with checked_connection(place, read_only=True, application_name=NAME) as connection:
                with_slot = read_slot(connection, found.slot) is not None
        except DatabaseUnavailableError:
            # The slot has to be dropped there once the server is back.
            with_slot = False
    yield from drop_subscription(schema, with_slot=with_slot)


def follow(url: str | sa.URL | None, plan: FollowingPlan, show: CopyProgress | None = None) -> None:
    """Do what a plan says, and wait until all rows are copied.

    Parameters
    ----------
    url
        The follower.
    plan
        What `plan_following` or `plan_again` gave.
    show
        Told how many tables are copied.

    Raises
    ------
    FollowerError
        Raised if tables cannot be copied.
    PrimaryNotReadyError
        Raised if the role may not publish what is not published yet.
    """
    if plan.primary.publishing:
        with checked_connection(plan.url, application_name=NAME) as connection:
            publish(connection, plan.primary)
    _alone(url, plan.first)
    with checked_connection(url, application_name=NAME) as connection:
        for statement in plan.copies:
            execute_text(connection, statement)
        connection.commit()
    _alone(url, plan.last)
    schema = plan.primary.schema
    _wait_until_copied(url, schema, show)
    # With the indexes that their rows are found by, later than the rows.
    _alone(url, make_indexes(schema, plan.primary.copies))


def _alone(url: str | sa.URL | None, statements: Iterable[str]) -> None:
    """Run statements each by itself: none of them waits with a lock of another one in hand."""
    with checked_connection(url, application_name=NAME) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            execute_text(connection, statement)


def _wait_until_copied(url: str | sa.URL | None, schema: str, show: CopyProgress | None) -> None:
    copying = failures = -1
    moved = time.monotonic()
    with checked_connection(url, application_name=NAME) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        while (one := find_subscription(connection, schema)) is not None:
            if show is not None:
                show(one.tables - one.copying, one.tables, "tables")
            if not one.copying:
                return
            if one.copying != copying:
                copying, failures, moved = one.copying, one.copy_errors, time.monotonic()
            # A worker that found no slot or no sender free, while others end, tries again by itself.
            waited = time.monotonic() - moved >= _PATIENCE_S
            if waited and one.copy_errors - failures >= _MOST_FAILURES:
                said = f"{one.copying} of {one.tables} tables cannot be copied"
                remedy = f"the log of this server says why; then tapdb follow rebuild {schema}"
                raise FollowerError(said, remedy, schema)
            time.sleep(_PAUSE_S)
    raise FollowerError("its subscription is gone", f"tapdb follow rebuild {schema}", schema)


def follow_changes(url: str | sa.URL | None, schema: str, config: ObsCoreConfig | None = None) -> int:
    """Let kept tables follow the changes of the copies; return how many triggers had to be made.

    Parameters
    ----------
    url
        The follower.
    schema
        Schema of the registry.
    config
        What a view is going to show, before it is made: no change may come between the two.
    """
    with checked_connection(url, application_name=NAME) as connection:
        wanted = wanted_triggers(connection, schema) | set(_told(connection, schema))
        if config is not None and config.tapdb.geometry == "table":
            mapping = plan_view(connection, config, registry_schema=schema)
            wanted |= {(one.relation, one.event) for one in kept_steps(kept_layout(mapping))}
        there = following_triggers(connection, schema)
    statements = tuple(make_triggers(schema, sorted(wanted), there))
    _alone(url, statements)
    return len(statements)


def _told(follower: sa.Connection, schema: str) -> Iterator[tuple[str, str]]:
    """Yield the copies and events that any view could have to follow.

    A view that is made or refreshed later misses nothing then. Tables with a row for each dataset but the
    tags tables are left out: nothing follows those.
    """
    registry = read_registry(follower, schema)
    tables = {*registry.universe.elements, "collection", "collection_chain", "dataset_type"}
    tables |= {one.tags_table for one in registry.dataset_types.values()}
    for table in tables & {*copied_tables(follower, schema)}:
        yield from ((table, event) for event in EVENTS)


def plan_end(follower: sa.Connection, schema: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what ends a subscription, and what drops the copies; views over them are dropped before.

    Parameters
    ----------
    follower
        Connection to the follower.
    schema
        Schema of the registry.

    Raises
    ------
    FollowerError
        Raised if the registry is not followed.
    """
    require_follower(follower)
    if not is_copy(follower, schema):
        known = ", ".join(followed_schemas(follower)) or "none"
        raise FollowerError("it is not followed", f"those that are: {known}", schema)
    ended = tuple(_unsubscribe(follower, schema, primary_url(follower, schema)))
    return ended, tuple(drop_copies(schema, [one.name for one in copies_of(follower, schema)]))


def end(url: str | sa.URL | None, ended: Sequence[str], copies: Sequence[str]) -> None:
    """End a subscription and drop its copies, as `plan_end` says."""
    _alone(url, ended)
    with checked_connection(url, application_name=NAME) as connection:
        for statement in copies:
            execute_text(connection, statement)
        connection.commit()
