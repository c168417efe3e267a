"""Kept tables filled in short transactions, beside a view that is in use; and the swap at the end.

What is done is recorded with the set of tables that is filled, so that another session can go on.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from obscore_view.config.model import ObsCoreConfig
from obscore_view.errors import FillingUnderWayError
from obscore_view.mapping import DatasetMapping
from obscore_view.view.changes import (
    as_text,
    check_names,
    is_there,
    others_located,
    plan_removal,
    plan_view,
    settled,
    triggers_of_others,
)
from obscore_view.view.combining import around, read_combined_views
from obscore_view.view.make import (
    grants_to_restore,
    require_migrated,
    run_script,
    stored_config,
    warn_of_lost_estimators,
)
from obscore_view.view.needed_rights import LESS, require_rights_to_begin, rights_to_drop, rights_to_make
from obscore_view.view.parts import (
    Pass,
    file_of,
    mapping_of,
    pages_of,
    parts_of,
    plan_preparation,
    plan_swap,
    record_progress,
)
from obscore_view.view.published import RelationName
from obscore_view.view.script import Script, drop_trigger
from obscore_view.view.store import STAGES, StoredView, move_script, read_stored_views, registry_of
from tapdb import __version__
from tapdb.postgres.engine import DatabaseRefusedError
from tapdb.postgres.extensions import require_extensions
from tapdb.postgres.locks import (
    MIGRATION_LOCK,
    TURN_PATIENCE_MS,
    LockMode,
    is_lock_timeout,
    lock_at_once,
    set_lock_timeout,
)
from tapdb.postgres.roles import require_rights, restore_grants
from tapdb.sources import execute_text, read_query

BATCH_MS = 50
"""Milliseconds that a batch is to take."""

_FIRST_BATCH_PAGES = 4
_PAUSE_S = 0.05
_PATIENCE_WITH_FILLS_S = 2.0
_FILL_LOCK = 0x7461706466
_LOCK_OF_BATCH = "SET LOCAL lock_timeout = '100ms'"
_LOCK_OF_SWAP_MS = 50

_SETTING = sa.table("pg_settings", sa.column("name", sa.Text()), schema="pg_catalog")
_LIMITS = _SETTING.c.name.in_(
    ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
)

_LOG = logging.getLogger(__name__)

FillProgress = Callable[[int, int | None, str], None]
"""Called with what is done of a pass, how much there is, and what is being done."""


def _require_no_dependents(connection: sa.Connection, old: StoredView | None, task: str) -> None:
    if old is None:
        return
    names = [(one.schema, one.name) for one in read_combined_views(connection, old.full_name)]
    for name in ((old.schema, old.name), *names):
        view = sql.Identifier(*name).as_string(None)
        found = connection.scalars(sa.text(read_query("dependent_views")), {"view": view}).all()
        if found:
            raise DatabaseRefusedError(
                f"{', '.join(found)} stand on {'.'.join(name)} and have to be dropped first", f"to {task}"
            )


@contextmanager
def alone_at_work(connection: sa.Connection) -> Iterator[None]:
    """Let no other session fill, migrate, make or drop views while this one fills.

    Raises
    ------
    FillingUnderWayError
        Raised if another session is at it.
    """
    # Who has just been killed may be in the middle of a batch.
    _take_lock(connection, _FILL_LOCK, _PATIENCE_WITH_FILLS_S)
    try:
        _take_lock(connection, MIGRATION_LOCK, TURN_PATIENCE_MS / 1000)
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
            connection.commit()


def _take_lock(connection: sa.Connection, key: int, patience_s: float) -> None:
    begun = time.monotonic()
    while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
        connection.rollback()
        if time.monotonic() - begun > patience_s:
            raise FillingUnderWayError
        time.sleep(_PAUSE_S)
    connection.commit()


def to_be_filled(view: StoredView) -> bool:
    """Return whether there is something for `fill_view` to do about what is recorded of a view."""
    return view.stage != "published" or (bool(view.objects.tables) and not view.kept)


class Filling:
    """A session that fills sets of kept tables.

    Parameters
    ----------
    connection
        Connection of its own, in no transaction; it has none open between the calls.
    timeout_ms
        How long it is tried to get locks, and to swap.
    batch_ms
        How long a batch is to take.
    show
        Told how far it is.
    before_commit
        Called in the transaction that swaps, at its end.
    """

    def __init__(
        self,
        connection: sa.Connection,
        *,
        timeout_ms: int,
        batch_ms: int = BATCH_MS,
        show: FillProgress | None = None,
        before_commit: Callable[[sa.Connection], None] | None = None,
    ) -> None:
        self._connection = connection
        self._timeout_ms = timeout_ms
        self._batch_s = batch_ms / 1000
        self._show = show or (lambda _done, _total, _what: None)
        self._before_commit = before_commit
        # The levels of a server or role may be others, and their limits shorter than an index takes.
        connection.rollback()
        connection.execute(sa.select(sa.func.set_config(_SETTING.c.name, "0", sa.false())).where(_LIMITS))
        connection.commit()
        connection.execution_options(isolation_level="READ COMMITTED")

    def prepare(
        self,
        config: ObsCoreConfig,
        *,
        registry_schema: str | None = None,
        config_yaml: str | None = None,
        old: StoredView | None = None,
        rebuild_footprints: bool = False,
    ) -> StoredView:
        """Make the tables for a view, empty, and let them be kept from now on.

        Parameters
        ----------
        config, config_yaml, registry_schema
            As for `obscore_view.view.make.create_view`.
        old
            The view as readers see it, if there is one.
        rebuild_footprints
            Whether all regions are decoded again.

        Returns
        -------
        StoredView
            What is recorded of it; `finish` fills it.

        Raises
        ------
        NotMigratedError, MissingRightsError, MissingExtensionError
            Raised as by `create_view`.
        MissingRegistryError, UnsupportedRegistryError, MappingError, ConfigError
            Raised as by `create_view`.
        DatabaseRefusedError
            Raised if others have built views on the old one: it could not be swapped in the end.
        CombinationError
            Raised if a view that shows the old one and others as one could not show it any more.
        """
        connection = self._connection
        require_extensions(connection)
        require_migrated(connection, config)
        schema = registry_schema if old is None else registry_of(old, config)
        task = f"make the view {config.view_schema}.{config.view_name}"
        require_rights_to_begin(connection, task, config, schema)
        mapping = plan_view(connection, config, registry_schema=schema)
        check_names(connection, mapping, may_fail=old is None or config_yaml != old.config_yaml)
        rights = (*(rights_to_drop(old) if old is not None else ()), *rights_to_make(connection, mapping))
        require_rights(connection, task, rights, otherwise=LESS)
        _require_no_dependents(connection, old, task)
        if old is not None:
            # What could not be swapped in the end is not begun.
            around(connection, old.full_name, mapping)
        connection.rollback()
        for one in self._recorded(f"{config.view_schema}.{config.view_name}"):
            if one.stage == "filling":
                self.leave(one)
        plan = plan_preparation(connection, mapping, config_yaml, old, again=rebuild_footprints)
        connection.rollback()
        self._run(plan.script, plan.mapping, plan.progress)
        (view,) = (one for one in self._recorded(plan.name) if one.kept == plan.mapping.kept)
        return view

    def resume(self, view: StoredView) -> StoredView:
        """Return a set that can be finished: this one, or another if the registry or tapdb has changed.

        Parameters
        ----------
        view
            What is recorded: a set that is being filled, one that is wanted, or a view of older software.
        """
        connection = self._connection
        config = stored_config(view)
        if view.stage == "filling" and view.software_version == __version__:
            mapping = plan_view(connection, config, registry_schema=view.registry_schema, kept=view.kept)
            now = json.loads(json.dumps(mapping.registry.fingerprint(view.objects.granted)))
            task = f"fill the view {view.full_name}"
            require_rights(connection, task, rights_to_make(connection, mapping), otherwise=LESS)
            connection.rollback()
            if now == view.fingerprint:
                return view
        old = next((one for one in self._recorded(view.full_name) if one.stage == "published"), None)
        return self.prepare(
            config, registry_schema=view.registry_schema, config_yaml=view.config_yaml, old=old
        )

    def finish(self, view: StoredView) -> DatasetMapping:
        """Fill a set from where it stands, let readers see it, and take away what it takes the place of.

        Parameters
        ----------
        view
            What `prepare` or `resume` has returned.

        Raises
        ------
        sqlalchemy.exc.DBAPIError
            Raised if a lock was not to be had in time (`tapdb.postgres.locks.is_lock_timeout`); what is
            done stays done.
        """
        connection = self._connection
        mapping, progress = mapping_of(connection, view), dict(view.progress or {})
        connection.rollback()
        parts = parts_of(mapping, progress)
        old = next((one for one in self._recorded(view.full_name) if one.stage == "published"), None)
        for number in range(int(progress["done"]), len(parts)):
            part, begun = parts[number], time.monotonic()
            if isinstance(part, Pass):
                self._walk(part, mapping, progress)
            progress.pop("pass", None)
            progress["done"] = number + 1
            self._run(part if isinstance(part, Script) else Script((), what=part.what), mapping, progress)
            _LOG.debug("%s: %.1f s", part.what, time.monotonic() - begun)
        if progress["again"]:
            for text in others_located(connection, view):
                connection.rollback()
                self._alone((text,))
        self._swap(view, mapping)
        warn_of_lost_estimators(connection, mapping)
        connection.rollback()
        if old is not None:
            self.leave(next(one for one in self._recorded(view.full_name) if one.key == old.key))
        self._settle(view)
        return mapping

    def _settle(self, view: StoredView) -> None:
        execute_text(self._connection, _LOCK_OF_BATCH)
        run_script(self._connection, settled(view.registry_schema))
        self._connection.commit()

    def leave(self, view: StoredView) -> None:
        """Take away a set that no reader is to see any more; what is still read stays for the next time."""
        connection = self._connection
        if view.stage != "leaving":
            execute_text(connection, move_script(view, "leaving"))
            connection.commit()
            view = replace(view, stage="leaving")
        needed = triggers_of_others(connection, view)
        gone: dict[str, list[sql.Composable]] = {}
        for table, trigger in view.objects.triggers:
            if (table, trigger) not in needed and is_there(connection, (view.registry_schema, table)):
                gone.setdefault(table, []).append(drop_trigger(view.registry_schema, table, trigger))
        removal = plan_removal(connection, view, keep_schema=True, triggers=frozenset(view.objects.triggers))
        connection.rollback()
        try:
            for table, statements in gone.items():
                self._locked([(view.registry_schema, table)], "ACCESS EXCLUSIVE", as_text(statements))
            for name in view.objects.indexes:
                index = sql.Identifier(view.registry_schema, name)
                self._alone((sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index).as_string(None),))
            self._locked([], "ACCESS EXCLUSIVE", removal.statements)
        except sa.exc.DBAPIError as error:
            connection.rollback()
            if not is_lock_timeout(error.orig):
                raise
            _LOG.warning(
                "the tables that %s stood on are still in use; take them away later: tapdb obscore fill",
                view.full_name,
            )

    def _recorded(self, name: str) -> list[StoredView]:
        found = [one for one in read_stored_views(self._connection, STAGES) if one.full_name == name]
        self._connection.rollback()
        return found

    def _run(self, part: Script, mapping: DatasetMapping, progress: dict[str, Any]) -> None:
        """Run a part, and record in its transaction that it is done."""
        self._show(0, None, part.what)
        if part.alone:
            self._alone(part.statements)
            part = Script((), what=part.what)
        before = (*part.before, record_progress(mapping, progress))
        self._locked(part.locked, "SHARE ROW EXCLUSIVE", part.statements, before)

    def _locked(
        self,
        tables: Iterable[RelationName],
        mode: LockMode,
        statements: Iterable[str],
        before: Iterable[str] = (),
    ) -> None:
        """Run statements in a transaction that locks tables before them, at one moment."""
        connection = self._connection
        try:
            set_lock_timeout(connection, self._timeout_ms)
            for text in before:
                execute_text(connection, text)
            lock_at_once(connection, dict.fromkeys(tables, mode))
            for text in statements:
                execute_text(connection, text)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise

    def _alone(self, statements: Iterable[str]) -> None:
        """Run statements outside of any transaction; they wait for others and keep nobody waiting."""
        connection = self._connection
        connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            execute_text(connection, "SET lock_timeout = 0")
            for text in statements:
                execute_text(connection, text)
        finally:
            connection.rollback()
            connection.execution_options(isolation_level="READ COMMITTED")

    def _walk(self, part: Pass, mapping: DatasetMapping, progress: dict[str, Any]) -> None:
        """Fill from all pages of a table, batch by batch; what is locked by others is tried again later."""
        connection = self._connection
        at = progress.get("pass") or {}
        if at.get("file") != file_of(connection, part.table):
            at = {
                "file": file_of(connection, part.table),
                "page": 0,
                "pages": pages_of(connection, part.table),
            }
        connection.rollback()
        pages, step, file = int(at["pages"]), _FIRST_BATCH_PAGES, int(at["file"])
        todo, held = deque([(int(at["page"]), pages)]), list[tuple[int, int]]()
        while todo or held:
            if not todo:
                time.sleep(_PAUSE_S)
                todo, held = deque(held), []
            first, end = todo.popleft()
            if first >= end:
                continue
            last = min(first + step, end)
            rest = [one for one in (*held, *todo, (last, end)) if one[0] < one[1]]
            at = {"file": file, "pages": pages, "page": min((one[0] for one in rest), default=pages)}
            begun = time.monotonic()
            try:
                moved = self._batch(part, (first, last), mapping, progress | {"pass": at}, file)
            except sa.exc.DBAPIError as error:
                connection.rollback()
                if not is_lock_timeout(error.orig):
                    raise
                if last - first > 1:
                    step = max(1, step // 2)
                    todo.appendleft((first, end))
                else:
                    held.append((first, last))
                    todo.appendleft((last, end))
                continue
            if moved:
                # The whole table has been written again meanwhile: pages are not what they were.
                file, pages = file_of(connection, part.table), pages_of(connection, part.table)
                connection.rollback()
                todo, held = deque([(0, pages)]), []
                continue
            todo.appendleft((last, end))
            self._show(int(at["page"]), pages, part.what)
            took = max(time.monotonic() - begun, 1e-4)
            step = max(1, min(step * 2, int(step * self._batch_s / took)))

    def _batch(
        self,
        part: Pass,
        pages: tuple[int, int],
        mapping: DatasetMapping,
        progress: dict[str, Any],
        file: int,
    ) -> bool:
        """Fill from some pages; return whether the table is another one than that whose pages were meant."""
        connection = self._connection
        execute_text(connection, _LOCK_OF_BATCH)
        execute_text(connection, "SET LOCAL jit = off")
        lock, *statements = part.batch(*pages).statements
        execute_text(connection, lock)
        if file_of(connection, part.table) != file:
            connection.rollback()
            return True
        for text in statements:
            execute_text(connection, text)
        execute_text(connection, record_progress(mapping, progress))
        connection.commit()
        return False

    def _swap(self, view: StoredView, mapping: DatasetMapping) -> None:
        """Let readers see the set: nobody waits behind it longer than for a moment, and it tries again."""
        connection = self._connection
        self._show(0, None, "swap")
        begun = time.monotonic()
        while True:
            try:
                self._settle(view)
                swap = plan_swap(connection, view, mapping)
                grants = grants_to_restore(connection, mapping.config)
                set_lock_timeout(connection, _LOCK_OF_SWAP_MS)
                run_script(connection, swap)
                restore_grants(connection, grants)
                if self._before_commit is not None:
                    self._before_commit(connection)
                connection.commit()
            except sa.exc.DBAPIError as error:
                connection.rollback()
                late = self._timeout_ms and time.monotonic() - begun >= self._timeout_ms / 1000
                if late or not is_lock_timeout(error.orig):
                    raise
                time.sleep(_PAUSE_S)
            else:
                return
