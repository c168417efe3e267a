"""Alembic operations that put a frozen version of a SQL source in the place of another one.

``op.set_object_version("functions/tapdb.s_region", new=2, old=1)`` is all that a revision says. The text
comes from the folder ``frozen`` beside the revisions, so that a revision always does what it did on the
day it was written. ``op.set_queue_version(new=1, old=None)`` makes the job queue.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from alembic.operations import MigrateOperation, Operations
from alembic.runtime.migration import MigrationContext

from tapdb.queue.schema import note_statement, queue_sql
from tapdb.sources import execute_text, in_dependency_order, read_frozen

Pins = tuple[tuple[str, int], ...]


@Operations.register_operation("set_object_version")
@Operations.register_operation("set_object_versions")
class SetObjectVersionsOp(MigrateOperation):
    """Take versions of some sources away, then apply versions of some sources.

    Parameters
    ----------
    new
        Name and version of each source to apply; each is applied after those that it requires.
    old
        Name and version of each source to take away; each is taken away before those that it requires.
        Everything goes before anything comes, so that objects which use each other can change together.
    """

    def __init__(self, new: Pins, old: Pins) -> None:
        self.new = new
        self.old = old

    @classmethod
    def set_object_version(
        cls, operations: Operations, name: str, *, new: int | None, old: int | None
    ) -> None:
        """Replace version ``old`` of a source by version ``new``; `None` stands for "no such object".

        Raises
        ------
        FrozenSourceError
            Raised if a version does not exist or was edited.
        """
        operations.invoke(cls(_pin(name, new), _pin(name, old)))

    @classmethod
    def set_object_versions(
        cls, operations: Operations, *, new: Iterable[tuple[str, int]], old: Iterable[tuple[str, int]]
    ) -> None:
        """Take all ``old`` versions away, then apply all ``new`` ones, in the order of their requirements.

        Raises
        ------
        FrozenSourceError
            Raised if a version does not exist or was edited.
        """
        operations.invoke(cls(tuple(new), tuple(old)))

    def reverse(self) -> SetObjectVersionsOp:
        """Return what undoes this operation."""
        return SetObjectVersionsOp(new=self.old, old=self.new)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what ``alembic check`` prints."""
        return ("set_object_versions", self.new, self.old)


@Operations.implementation_for(SetObjectVersionsOp)
def _set_object_versions(operations: Operations, operation: SetObjectVersionsOp) -> None:
    context = operations.migration_context
    folder = _frozen_folder(context)
    # All texts are read, and their digests checked, before the first one is sent.
    old = in_dependency_order(read_frozen(name, version, folder=folder) for name, version in operation.old)
    new = in_dependency_order(read_frozen(name, version, folder=folder) for name, version in operation.new)
    for source in reversed(old):
        _send(context, f"drop {source.name} version {dict(operation.old)[source.name]}", source.drop)
    for source in new:
        _send(context, f"create {source.name} version {dict(operation.new)[source.name]}", source.create)


@Operations.register_operation("set_queue_version")
class SetQueueVersionOp(MigrateOperation):
    """Make the job queue, or take it away with all jobs: ours around procrastinate's own SQL.

    Parameters
    ----------
    version
        Frozen version of ``queue/tapdb_queue`` and ``queue/tapdb_queue.rights`` to apply or to take away.
    make
        Whether the queue is made.
    """

    def __init__(self, version: int, *, make: bool) -> None:
        self.version = version
        self.make = make

    @classmethod
    def set_queue_version(cls, operations: Operations, *, new: int | None, old: int | None) -> None:
        """Make the queue as of frozen version ``new``, or take that of ``old`` away; the other is `None`.

        Raises
        ------
        FrozenSourceError
            Raised if a version does not exist or was edited.
        QueueVersionError
            Raised if the package of the queue is not one that this release knows.
        """
        operations.invoke(cls(new or old or 1, make=new is not None))

    def reverse(self) -> SetQueueVersionOp:
        """Return what undoes this operation."""
        return SetQueueVersionOp(self.version, make=not self.make)


@Operations.implementation_for(SetQueueVersionOp)
def _set_queue_version(operations: Operations, operation: SetQueueVersionOp) -> None:
    context = operations.migration_context
    names = ("queue/tapdb_queue", "queue/tapdb_queue.rights")
    version, folder = operation.version, _frozen_folder(context)
    schema, rights = (read_frozen(name, version, folder=folder) for name in names)
    if not operation.make:
        _send(context, f"drop {schema.name} version {version}", schema.drop)
        return
    text = queue_sql()
    _send(context, f"create {schema.name} version {version}", schema.create)
    _send(context, "make what procrastinate has", f"{text}\n{note_statement(text)};")
    _send(context, f"create {rights.name} version {version}", rights.create)


def _send(context: MigrationContext, what: str, text: str) -> None:
    if context.as_sql:
        context.impl.static_output(f"-- {what}\n{text.strip()}")
        return
    try:
        execute_text(cast("sa.Connection", context.connection), text)
    except sa.exc.DBAPIError as error:
        error.add_note(f"while it was to {what}")
        raise


def _frozen_folder(context: MigrationContext) -> Path:
    script = context.opts["script"]
    return Path(script.dir) / "frozen"


def _pin(name: str, version: int | None) -> Pins:
    return () if version is None else ((name, version),)
