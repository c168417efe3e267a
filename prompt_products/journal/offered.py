"""What journals give to others: kept around a migration, pruned by workers."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa

from prompt_products.errors import JournalRefusedError
from prompt_products.journal import entries
from tapdb.hooks.derived import LAST
from tapdb.queue.task import Running, Task
from tapdb.sources import execute_composed

_LOG = logging.getLogger(__name__)


class KeptJournals:
    """Journals of views, between the two halves of a migration and after each change of a view.

    Triggers go and come back; if the kept tables of a view were made again meanwhile, its journal begins
    again: who watches is told so.
    """

    after = LAST
    options: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        self._tables: dict[str, tuple[int, ...]] = {}

    def drop(self, connection: sa.Connection) -> None:
        """Take the triggers away, which use functions that a migration may replace."""
        for one in entries.read_journals(connection):
            if one.is_current:
                self._tables[one.base] = entries.table_numbers(connection, one)
            for statement in entries.drop_trigger_statements(connection, one):
                execute_composed(connection, statement)

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:  # noqa: ARG002 - the protocol's signature
        """Let journals be kept again of all views of which they were."""
        for one in entries.read_journals(connection):
            if one.is_current:
                continue
            if self._tables.get(one.base) == entries.table_numbers(connection, one):
                for statement in entries.trigger_statements(one):
                    execute_composed(connection, statement)
                continue
            try:
                entries.keep(connection, one.view, night_hours=one.night_hours, wakes=one.wakes)
            except JournalRefusedError as error:
                _LOG.warning("%s", error)

    def is_current(self, connection: sa.Connection, options: Mapping[str, str]) -> bool:  # noqa: ARG002 - the protocol's signature
        """Return whether there is nothing to be kept around a migration."""
        return not entries.read_journals(connection)

    def describe_offline(self) -> str:
        """Return what a DBA has to run when the migration is a script."""
        return "Journals are kept by triggers on kept tables of views. After this script: tapdb journal keep."


def _prune(running: Running, *, timestamp: int) -> None:  # noqa: ARG001 - the argument of all periodic tasks
    """Delete old entries of all journals; every hour."""
    with running.engine.connect() as connection:
        if entries.can_keep(connection):
            entries.prune(connection)
            connection.commit()


TASKS = (Task("journal.prune", _prune, cron="17 * * * *"),)
"""What workers of the queue do for journals."""
