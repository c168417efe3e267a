"""``alembic check`` and ``alembic revision --autogenerate`` for objects that come from SQL sources.

In a database that is shared with Butler, nothing may ever be proposed that drops what is not ours.
Alembic's own comparison of tables stays off for that reason; this one looks at our own named objects alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations.ops import MigrateOperation, UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import PriorityDispatchResult

from tapdb.migrate.drift import find_drift
from tapdb.migrate.operations import SetObjectVersionsOp
from tapdb.postgres.catalog import CatalogDifference
from tapdb.sources import newest_version, read_all_current, read_current, read_frozen

PLUGIN = "tapdb.migrate.autogenerate"
"""Name under which Alembic knows the comparison."""

DRIFT = "tapdb_drift"
"""Option of Alembic's context that holds the differences that were found, by source."""


class DriftOp(MigrateOperation):
    """A source whose objects differ from what it says, and that no revision can put right.

    Parameters
    ----------
    name
        Name of the source.
    advice
        What to do about it.
    differences
        What differs; the database is on the left.
    """

    def __init__(self, name: str, advice: str, differences: tuple[CatalogDifference, ...]) -> None:
        self.name = name
        self.advice = advice
        self.differences = differences

    def reverse(self) -> DriftOp:
        """Return what a downgrade does about it: as little."""
        return self

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what ``alembic check`` prints."""
        return (self.name, *map(str, self.differences))


def setup(plugin: Plugin) -> None:
    """Register the comparison with Alembic."""
    plugin.add_autogenerate_comparator(_compare, "autogenerate")


def _compare(context: AutogenContext, upgrade_ops: UpgradeOps) -> PriorityDispatchResult:
    """Add an operation for each source whose objects are not what it says."""
    frozen = Path(context.opts["script"].dir) / "frozen"
    drift = find_drift(cast("sa.Connection", context.connection), read_all_current(), frozen=frozen)
    upgrade_ops.ops.extend(_operation(name, differences, frozen) for name, differences in drift.items())
    context.opts[DRIFT] = drift
    return PriorityDispatchResult.CONTINUE


def _operation(name: str, differences: tuple[CatalogDifference, ...], frozen: Path) -> MigrateOperation:
    newest = newest_version(name, folder=frozen)
    if newest == 0 or not read_frozen(name, newest, folder=frozen).has_same_sql(read_current(name)):
        return DriftOp(name, "run 'tapdb sql freeze' first", differences)
    if all(difference.left is None for difference in differences):
        return SetObjectVersionsOp(new=((name, newest),), old=())
    if newest > 1:
        return SetObjectVersionsOp(new=((name, newest),), old=((name, newest - 1),))
    return DriftOp(name, "changed by hand in the database", differences)


@renderers.dispatch_for(SetObjectVersionsOp)
def _render_set_object_versions(_context: AutogenContext, operation: SetObjectVersionsOp) -> list[str]:
    names = dict.fromkeys(name for name, _ in (*operation.new, *operation.old))
    new, old = dict(operation.new), dict(operation.old)
    return [f'op.set_object_version("{name}", new={new.get(name)}, old={old.get(name)})' for name in names]


@renderers.dispatch_for(DriftOp)
def _render_drift(_context: AutogenContext, operation: DriftOp) -> list[str]:
    lines = [f"{operation.name}: {operation.advice}", *map(str, operation.differences)]
    return [f"# {line}" for text in lines for line in text.splitlines()]
