"""What commands that change a database share: one transaction at a time, and SQL that can be printed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
import sqlalchemy as sa

from tapdb.hooks.derived import create_last
from tapdb.postgres.engine import checked_connection, translate_database_errors
from tapdb.postgres.locks import (
    LockTimeoutError,
    is_lock_timeout,
    lock_holders,
    set_lock_timeout,
    take_migration_lock,
)
from tapdb.settings import read_settings


@contextmanager
def change_session(
    url: str | None, *, application_name: str, describe: bool = False
) -> Iterator[sa.Connection]:
    """Give a connection in one transaction that is committed at the end, one such session at a time.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.
    application_name
        Name under which a DBA sees the session.
    describe
        Whether what follows all other objects, the rows of TAP_SCHEMA, is rebuilt before the commit.

    Raises
    ------
    LockTimeoutError
        Raised if another session holds a lock that is needed, longer than ``TAPDB_LOCK_TIMEOUT_MS``.
    DatabaseRefusedError
        Raised for all else that the database refuses.
    """
    timeout_ms = read_settings().lock_timeout_ms
    with (
        translate_database_errors(),
        checked_connection(url, application_name=application_name) as connection,
    ):
        try:
            take_migration_lock(connection)
            set_lock_timeout(connection, timeout_ms)
            yield connection
            if describe:
                create_last(connection, {"comment": click.get_current_context().command_path})
            connection.commit()
        except sa.exc.DBAPIError as error:
            connection.rollback()
            if is_lock_timeout(error.orig):
                raise LockTimeoutError(timeout_ms, "", lock_holders(connection)) from error
            raise


def print_statements(statements: Iterable[str]) -> None:
    """Print SQL as one transaction with the lock timeout that it would be run with, for psql."""
    timeout = read_settings().lock_timeout_ms
    text = "".join(f"{statement};\n" for statement in statements)
    click.echo(f"BEGIN;\nSET LOCAL lock_timeout = {timeout};\n{text}COMMIT;")
