"""Derived objects: generated from what a database holds, so dropped before a migration and made again after.

A package offers them under the entry-point group ``tapdb.derived``; a migration drops them before the first
revision and creates them after the last, in its own transaction, so that readers never see them gone.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

import sqlalchemy as sa

from tapdb.postgres.roles import Right

GROUP = "tapdb.derived"

LAST = frozenset({"*"})
"""Value of `Following.after`: all others, less those that say so themselves."""

_log = logging.getLogger(__name__)


class DerivedObjects(Protocol):
    """Objects of one package that are generated from what a database holds.

    All that `create` makes outside of tapdb's own schemas, grants on foreign schemas included, `drop` takes
    back.
    """

    @property
    def options(self) -> Mapping[str, str]:
        """The options that `create` reads, by name, with their meaning."""

    def drop(self, connection: sa.Connection) -> None:
        """Drop the objects if they are there; without CASCADE, so that what others built on them stops it."""

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:
        """Make the objects; ``options`` are those of ``alembic -x NAME=VALUE``."""

    def describe_offline(self) -> str:
        """Return what a DBA has to run by hand when the migration is a script, in words."""


@runtime_checkable
class SelfChecking(Protocol):
    """Derived objects that know whether they have to be rebuilt."""

    def is_current(self, connection: sa.Connection, options: Mapping[str, str]) -> bool:
        """Return whether `DerivedObjects.create` would make just what is there; nothing is changed."""


@runtime_checkable
class Demanding(Protocol):
    """Derived objects that need rights on what is not tapdb's own."""

    def needed_rights(self, connection: sa.Connection, options: Mapping[str, str]) -> Iterable[Right]:
        """Return the rights that dropping and making the objects needs; nothing is changed."""


@runtime_checkable
class Lasting(Protocol):
    """Derived objects that an upgrade may leave as they are, since making them takes long."""

    def note_lasting(self, connection: sa.Connection, options: Mapping[str, str]) -> None:
        """Note which of them `DerivedObjects.drop` and `DerivedObjects.create` are to leave alone."""


@runtime_checkable
class OptionChecking(Protocol):
    """Derived objects that know without a database which values of their options cannot be used."""

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise an error if a value cannot be used."""


@runtime_checkable
class Following(Protocol):
    """Derived objects that are made from what others make.

    Attributes
    ----------
    after
        Names of those that have to be made before, and dropped after; `LAST` for all.
    """

    after: Collection[str]


def load_derived(options: Mapping[str, str]) -> dict[str, DerivedObjects]:
    """Return the derived objects of all installed packages by name, in the order of names.

    Those that follow others (`Following`) come after these.

    Parameters
    ----------
    options
        Options of the migration. ``NAME=off`` leaves the objects of that name alone: neither dropped nor
        made.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    wanted = [found[name] for name in sorted(found) if options.get(name) != "off"]
    things = ((entry.name, entry.load()) for entry in wanted)
    loaded = {name: thing() if isinstance(thing, type) else thing for name, thing in things}
    return {name: loaded[name] for name in _in_order(loaded)}


def derived_names() -> frozenset[str]:
    """Return the names of the derived objects of all installed packages, which ``NAME=off`` leaves alone."""
    return frozenset(entry_points(group=GROUP).names)


def known_options() -> dict[str, str]:
    """Return the options that derived objects read, by name, with their meaning."""
    return {name: text for objects in load_derived({}).values() for name, text in objects.options.items()}


def check_options(derived: Mapping[str, DerivedObjects], options: Mapping[str, str]) -> None:
    """Check the values of options as far as that needs no database, before anything is done."""
    for objects in derived.values():
        if isinstance(objects, OptionChecking):
            objects.check_options(options)


def without_current(
    connection: sa.Connection, derived: Mapping[str, DerivedObjects], options: Mapping[str, str]
) -> dict[str, DerivedObjects]:
    """Return the derived objects less those which say that they are as they would be made."""
    return {
        name: objects
        for name, objects in derived.items()
        if not (isinstance(objects, SelfChecking) and objects.is_current(connection, options))
    }


def rights_of_derived(
    connection: sa.Connection, derived: Mapping[str, DerivedObjects], options: Mapping[str, str]
) -> tuple[Right, ...]:
    """Return the rights that dropping and making derived objects needs."""
    demanding = [one for one in derived.values() if isinstance(one, Demanding)]
    return tuple(right for one in demanding for right in one.needed_rights(connection, options))


def note_lasting(
    connection: sa.Connection, derived: Mapping[str, DerivedObjects], options: Mapping[str, str]
) -> None:
    """Let derived objects note, before an upgrade, what of them is to be left as it is."""
    for objects in derived.values():
        if isinstance(objects, Lasting):
            objects.note_lasting(connection, options)


def drop_derived(connection: sa.Connection, derived: Mapping[str, DerivedObjects]) -> None:
    """Drop all derived objects, the last first."""
    for name, objects in reversed(tuple(derived.items())):
        _log.info("dropping the derived objects of %s", name)
        with _noted(f"while it was to drop the derived objects of {name}"):
            objects.drop(connection)


def create_derived(
    connection: sa.Connection, derived: Mapping[str, DerivedObjects], options: Mapping[str, str]
) -> None:
    """Make all derived objects."""
    for name, objects in derived.items():
        _log.info("making the derived objects of %s", name)
        with _noted(f"while it was to make the derived objects of {name}"):
            objects.create(connection, options)


def create_last(connection: sa.Connection, options: Mapping[str, str]) -> None:
    """Rebuild the derived objects that follow all others, after a change outside of a migration.

    Parameters
    ----------
    connection
        Connection in whose transaction the change was made.
    options
        As for `DerivedObjects.create`.
    """
    loaded = load_derived(options)
    last = {
        name: objects
        for name, objects in loaded.items()
        if isinstance(objects, Following) and objects.after == LAST
    }
    create_derived(connection, last, options)


def _in_order(loaded: Mapping[str, DerivedObjects]) -> Iterator[str]:
    """Yield the names, each after those that its objects follow."""
    after = {
        name: frozenset(thing.after) if isinstance(thing, Following) else frozenset()
        for name, thing in loaded.items()
    }
    others = [name for name, names in after.items() if names != LAST]
    needed = {
        name: [one for one in (others if names == LAST else names) if one in loaded]
        for name, names in after.items()
    }
    yield from TopologicalSorter(needed).static_order()


@contextmanager
def _noted(what: str) -> Iterator[None]:
    """Note on an error of the database what was being done."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        error.add_note(what)
        raise
