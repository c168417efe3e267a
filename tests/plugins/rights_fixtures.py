"""Roles that lack rights, and what commands advise them to have granted."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from psycopg import sql

from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine
from tapdb.sources import execute_composed, execute_text

if TYPE_CHECKING:
    from tests.plugins.server import Server

__all__ = [
    "OWNER",
    "SECRET",
    "USER",
    "administer",
    "advice",
    "change_owner",
    "logins",
    "refused",
    "run_as_user",
    "until_done",
]

SECRET = secrets.token_hex(8)

OWNER = "rights_owner"
"""Login that owns what is not tapdb's."""

USER = "rights_user"
"""Login that commands are run as."""


@pytest.fixture
def logins(server: Server) -> Iterator[None]:
    """Make an owner of tables, and a user who may nothing; they go when their databases have gone."""
    for name in (OWNER, USER):
        administer(server.url(), f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
    yield
    for name in (USER, OWNER):
        administer(server.url(), f"DROP ROLE {name}")


def administer(url: sa.URL, text: str) -> None:
    """Run SQL as a superuser."""
    engine = create_engine(url)
    with engine.begin() as connection:
        execute_text(connection, text)
    engine.dispose()


def change_owner(url: sa.URL, schema: str) -> None:
    """Give a schema and its tables to their owner, as archives have it: no superuser."""
    engine = create_engine(url)
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = :schema"
    owner = sql.Identifier(OWNER)
    with engine.begin() as connection:
        statement = sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(schema), owner)
        execute_composed(connection, statement)
        for table in connection.scalars(sa.text(tables), {"schema": schema}).all():
            name = sql.Identifier(schema, table)
            execute_composed(connection, sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, owner))
    engine.dispose()


def run_as_user(url: sa.URL, *arguments: object) -> Result:
    """Run a command of ``tapdb`` as the user."""
    as_user = url.set(username=USER, password=SECRET).render_as_string(hide_password=False)
    return CliRunner(env={"TAPDB_URL": as_user}).invoke(main, list(map(str, arguments)))


def advice(text: str) -> list[str]:
    """Return the statements that a message lists."""
    return [line.strip() for line in text.splitlines() if line.startswith("  ") and line.endswith(";")]


def refused(result: Result) -> list[str]:
    """Return the statements that a command advises which is refused for missing rights alone."""
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == 1, result.output
    assert f'Error: user "{USER}" lacks rights in this database to ' in result.stderr
    assert "WARNING" not in result.output
    assert SECRET not in result.output
    statements = advice(result.stderr)
    assert statements
    return statements


def until_done(url: sa.URL, attempt: Callable[[], Result], most: int) -> Result:
    """Run a command, and as a superuser what it advises, until it is done; fail if that takes too long."""
    for _ in range(most):
        result = attempt()
        if result.exit_code == 0:
            return result
        administer(url, "".join(refused(result)))
    result = attempt()
    assert result.exit_code == 0, result.output
    return result
