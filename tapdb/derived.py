"""Derived objects: generated from what a database holds, so dropped before a migration and made again after.

A package offers them under the entry-point group ``tapdb.derived``; a migration drops them before the first
revision and creates them after the last, in its own transaction, so that readers never see them gone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Protocol

import sqlalchemy as sa

__all__ = ["GROUP", "DerivedObjects", "create_derived", "drop_derived", "load_derived"]

GROUP = "tapdb.derived"

_log = logging.getLogger(__name__)


class DerivedObjects(Protocol):
    """Objects of one package that are generated from what a database holds.

    Whatever `create` makes outside of tapdb's own schemas, grants on foreign schemas included, `drop` takes
    back.
    """

    def drop(self, connection: sa.Connection) -> None:
        """Drop the objects if they are there; without CASCADE, so that what others built on them stops it."""

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:
        """Make the objects; ``options`` are those of ``alembic -x NAME=VALUE``."""

    def describe_offline(self) -> str:
        """Return what a DBA has to run by hand when the migration is a script, in words."""


def load_derived(options: Mapping[str, str]) -> dict[str, DerivedObjects]:
    """Return the derived objects of all installed packages by name, in the order of names.

    Parameters
    ----------
    options
        Options of the migration. ``NAME=off`` leaves the objects of that name alone: neither dropped nor
        made.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    wanted = [found[name] for name in sorted(found) if options.get(name) != "off"]
    loaded = ((entry.name, entry.load()) for entry in wanted)
    return {name: thing() if isinstance(thing, type) else thing for name, thing in loaded}


def drop_derived(connection: sa.Connection, derived: Mapping[str, DerivedObjects]) -> None:
    """Drop all derived objects, the last first."""
    for name, objects in reversed(tuple(derived.items())):
        _log.info("dropping the derived objects of %s", name)
        objects.drop(connection)


def create_derived(
    connection: sa.Connection, derived: Mapping[str, DerivedObjects], options: Mapping[str, str]
) -> None:
    """Make all derived objects."""
    for name, objects in derived.items():
        _log.info("making the derived objects of %s", name)
        objects.create(connection, options)
