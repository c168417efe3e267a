"""What commands that change a database share: one transaction at a time, and SQL that can be printed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import click
import psycopg
import sqlalchemy as sa

from tapdb.hooks.derived import create_last
from tapdb.postgres.engine import checked_connection, translate_database_errors
from tapdb.postgres.locks import (
    LockTimeoutError,
    is_lock_timeout,
    lock_holders,
    lock_text,
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
    with (
        translate_database_errors(),
        checked_connection(url, application_name=application_name) as connection,
        lock_patience(connection),
    ):
        take_migration_lock(connection)
        yield connection
        if describe:
            create_last(connection, {"comment": click.get_current_context().command_path})
        connection.commit()


@contextmanager
def lock_patience(connection: sa.Connection) -> Iterator[int]:
    """Let the transaction of a connection wait for locks no longer than ``TAPDB_LOCK_TIMEOUT_MS``.

    That number is given.

    Raises
    ------
    LockTimeoutError
        Raised, with who holds locks, if it had to wait longer; the transaction is rolled back.
    """
    timeout_ms = read_settings().lock_timeout_ms
    set_lock_timeout(connection, timeout_ms)
    try:
        yield timeout_ms
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        connection.rollback()
        if is_lock_timeout(error.orig if isinstance(error, sa.exc.DBAPIError) else error):
            raise LockTimeoutError(timeout_ms, "", lock_holders(connection)) from error
        raise


def print_statements(statements: Iterable[str]) -> None:
    """Print SQL as one transaction with the lock timeout that it would be run with, for psql."""
    timeout = read_settings().lock_timeout_ms
    text = "".join(f"{statement};\n" for statement in statements)
    begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
    click.echo(f"{begin};\nSET LOCAL lock_timeout = {timeout};\n{text}COMMIT;")


class TransactionFacts(Protocol):
    """What is run as one transaction, or statement by statement."""

    @property
    def statements(self) -> tuple[str, ...]:
        """SQL, one statement each, without semicolon."""

    @property
    def what(self) -> str:
        """What they do, in words."""

    @property
    def before(self) -> tuple[str, ...]:
        """Those that come before tables are locked."""

    @property
    def locked(self) -> tuple[tuple[str, str], ...]:
        """Schema and name of tables that are locked against writing."""

    @property
    def alone(self) -> bool:
        """Whether each statement is a transaction of its own."""


def print_scripts(scripts: Iterable[TransactionFacts]) -> None:
    """Print several transactions as SQL for psql."""
    click.echo(
        "-- Transactions one after the other: run this with psql -v ON_ERROR_STOP=1 -f FILE. If one finds"
    )
    click.echo("-- something locked, run the command that has printed this again, for what is left.")
    for one in scripts:
        click.echo(f"-- {one.what}")
        if one.alone:
            click.echo("".join(f"{statement};\n" for statement in one.statements), nl=False)
            continue
        print_statements((*one.before, *lock_text(one.locked), *one.statements))
