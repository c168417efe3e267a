"""What begins, mends and ends the following of a registry, in steps each of which may be run again."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg import sql

from obscore_view.config.model import ObsCoreConfig
from obscore_view.follow.copies import (
    COMMENT,
    STALE,
    drop_copies,
    drop_triggers,
    empty_copies,
    make_copies,
    make_triggers,
    say_of_copies,
    subject_of,
    subscription_name,
    tables_to_copy,
)
from obscore_view.follow.state import (
    copied_tables,
    followed_registry,
    followed_schemas,
    following_triggers,
    said_of_copies,
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
from tapdb.postgres.engine import checked_connection
from tapdb.replication import subscription
from tapdb.replication.primary import (
    FollowerError,
    Primary,
    PrimaryTable,
    publish,
    read_primary,
    read_tables,
)

NAME = "tapdb follow"
"""Name under which a DBA sees the sessions, here and at the primary."""

_PAUSE_S = 0.1
_MOST_FAILURES = 3
_PATIENCE_S = 30.0

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


def _require_follower(follower: sa.Connection) -> int:
    return subscription.require_follower(follower, "tapdb.follow()", "tapdb follow init")


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
    version = _require_follower(follower)
    found = followed_registry(follower, schema)
    primary, place = _primary_of(follower, schema, config, url, publication)
    mine = copies_of(follower, schema)
    if found is None and mine:
        if said_of_copies(follower, schema):
            # It was ended before the subscription was made, or after it was dropped.
            return plan_again(follower, schema, config, url=url, publication=publication)
        raise FollowerError(
            "tables of this name are here: two registries of one schema, or the primary itself",
            "follow it into another database, which subscriptions write by the names of the primary",
            subject_of(schema),
        )
    new = [one for one in primary.copies if one.name not in {copy.name for copy in mine}]
    copies = (*_mended(schema, mine, primary, place), *make_copies(schema, new, is_first=found is None))
    if found is None:
        return FollowingPlan(primary, place, copies, (_subscribe(follower, primary, place, version),))
    if copies:
        copies = (*copies, say_of_copies(schema, STALE))
    name = subscription_name(schema)
    last = list(subscription.resume(name, url, found))
    if found.publication != primary.publication:
        last.append(subscription.change_publication(name, primary.publication))
    elif not {one.name for one in primary.copies} <= {*copied_tables(follower, schema)}:
        last.append(subscription.alter_subscription(name, "REFRESH PUBLICATION"))
    return FollowingPlan(primary, place, copies, tuple(last))


def plan_again(
    follower: sa.Connection,
    schema: str,
    config: ObsCoreConfig | None = None,
    *,
    url: sa.URL | None = None,
    publication: str | None = None,
) -> FollowingPlan:
    """Return what copies all rows of a registry again, as after the loss of a slot; nothing is changed.

    Kept tables stay as they are meanwhile, and answer.

    Parameters
    ----------
    follower, schema, config, url, publication
        As for `plan_following`.

    Raises
    ------
    FollowerError, PrimaryNotReadyError
        Raised as by `plan_following`; besides, if columns of the primary differ from those of the copies.
    """
    version = _require_follower(follower)
    if not said_of_copies(follower, schema):
        raise FollowerError(
            "it is not followed", f"tapdb follow add {schema} --primary URL", subject_of(schema)
        )
    primary, place = _primary_of(follower, schema, config, url, publication)
    mine = copies_of(follower, schema)
    known = {one.name: one for one in primary.copies}
    differing = [
        f"{one.name}: {said}"
        for one in mine
        if (table := known.get(one.name)) is not None and (said := subscription.difference(one, table))
    ]
    if differing:
        raise FollowerError(
            f"the primary has changed its tables ({'; '.join(differing)})",
            f"tapdb follow remove {schema}, then tapdb follow add {schema} --primary URL -c FILE",
            subject_of(schema),
        )
    new = [one for one in known.values() if one.name not in {copy.name for copy in mine}]
    triggers = following_triggers(follower, schema)
    copies = (
        # The triggers of kept tables are not for this: what they keep stays until there are rows again.
        "SET LOCAL session_replication_role = replica",
        *drop_triggers(schema, sorted(triggers)),
        *empty_copies(schema, [one.name for one in mine]),
        *make_copies(schema, new, is_first=False),
        say_of_copies(schema, STALE),
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
    found = followed_registry(follower, schema)
    place = url or subscription.primary_url(follower, subscription_name(schema))
    if place is None:
        raise FollowerError("it is not followed yet", "say where it is: --primary URL", subject_of(schema))
    configs = [stored_config(one) for one in views_over(follower, schema)]
    configs += [config] if config is not None else []
    name = publication or (found.publication if found is not None else subscription_name(schema))
    with checked_connection(place, read_only=True, application_name=NAME) as connection:
        registry = read_registry(connection, schema)
        names = {one for each in configs for one in tables_to_copy(match_mapping(each, registry))}
        names |= {*copied_tables(follower, schema)} & registry.columns.keys()
        if not names:
            raise FollowerError(
                "there is no view over it", "say what it is to show: -c FILE", subject_of(schema)
            )
        primary = read_primary(connection, subject_of(schema), schema, names, name)
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
        if table is None or not (said := subscription.difference(copy, table)):
            continue
        types = {one.name: one.type for one in table.columns}
        mended = {one.name: types.get(one.name, one.type) == one.type for one in copy.columns}
        added = [one for one in table.columns if one.name not in mended]
        if not all(mended.values()) or _have_values(place, schema, table, [one.name for one in added]):
            raise FollowerError(
                f"table {copy.name}: {said}, and rows that are here would have other values",
                f"tapdb follow remove {schema}, then tapdb follow add {schema} --primary URL -c FILE",
                subject_of(schema),
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
    name, slot = subscription_name(primary.schema), subscription.slot_for(follower, primary.schema)
    return subscription.make_subscription(name, place, primary.publication, slot, version)


def _unsubscribe(follower: sa.Connection, schema: str, place: sa.URL | None) -> Iterator[str]:
    return subscription.unsubscribe(
        subscription_name(schema), followed_registry(follower, schema), place, NAME
    )


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
    subscription.run_each(url, plan.first, NAME)
    _free_slot(url, plan)
    subscription.run_together(url, plan.copies, NAME)
    subscription.run_each(url, plan.last, NAME)
    schema = plan.primary.schema
    _wait_until_copied(url, schema, show)
    # With the indexes that their rows are found by, later than the rows.
    subscription.run_each(url, subscription.make_indexes(schema, plan.primary.copies), NAME)


def _free_slot(url: str | sa.URL | None, plan: FollowingPlan) -> None:
    """Drop the slot of a subscription that came to nothing, and that one is going to be made with."""
    schema = plan.primary.schema
    with checked_connection(url, read_only=True, application_name=NAME) as connection:
        if followed_registry(connection, schema) is not None:
            return
        slot = subscription.slot_for(connection, schema)
    with checked_connection(plan.url, application_name=NAME) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        subscription.drop_slot(connection, slot, plan.primary.subject)


def are_fresh(url: str | sa.URL | None, schema: str) -> bool:
    """Return whether views over the copies have all that was copied."""
    with checked_connection(url, read_only=True, application_name=NAME) as connection:
        return said_of_copies(connection, schema) != STALE


def note_fresh(url: str | sa.URL | None, schema: str) -> None:
    """Note that views over the copies have been refreshed."""
    subscription.run_each(url, (say_of_copies(schema, COMMENT),), NAME)


def _wait_until_copied(url: str | sa.URL | None, schema: str, show: CopyProgress | None) -> None:
    left, failures, since = -1, 0, 0.0
    with checked_connection(url, application_name=NAME) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        while (one := followed_registry(connection, schema)) is not None:
            if show is not None:
                show(one.tables - one.copying, one.tables, "tables")
            if not one.copying:
                return
            if one.copying != left:
                left, failures, since = one.copying, one.copy_errors, time.monotonic()
            # Some fail once, as where the slots of the primary are in use for a moment.
            is_late = time.monotonic() - since > _PATIENCE_S
            if is_late and one.copy_errors - failures >= _MOST_FAILURES:
                said = f"{one.copying} of {one.tables} tables cannot be copied"
                remedy = f"the log of this server says why; then tapdb follow rebuild {schema}"
                raise FollowerError(said, remedy, subject_of(schema))
            time.sleep(_PAUSE_S)
    raise FollowerError("its subscription is gone", f"tapdb follow rebuild {schema}", subject_of(schema))


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
    subscription.run_each(url, statements, NAME)
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
    _require_follower(follower)
    if not said_of_copies(follower, schema):
        known = ", ".join(followed_schemas(follower)) or "none"
        raise FollowerError("it is not followed", f"those that are: {known}", subject_of(schema))
    ended = tuple(
        _unsubscribe(follower, schema, subscription.primary_url(follower, subscription_name(schema)))
    )
    return ended, tuple(drop_copies(schema, [one.name for one in copies_of(follower, schema)]))


def end(url: str | sa.URL | None, ended: Sequence[str], copies: Sequence[str]) -> None:
    """End a subscription and drop its copies, as `plan_end` says."""
    subscription.run_each(url, ended, NAME)
    subscription.run_together(url, copies, NAME)
