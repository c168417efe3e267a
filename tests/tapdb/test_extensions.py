"""The required extensions on a real server: present, missing, misplaced, installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tapdb.errors import MissingExtensionError
from tapdb.postgres.engine import checked_connection
from tapdb.postgres.extensions import (
    ExtensionState,
    install_extensions,
    install_statements,
    read_extensions,
    require_extensions,
)


def test_a_database_with_both_extensions_is_ready(connection: sa.Connection) -> None:
    require_extensions(connection)
    assert [(state.name, state.schema, state.ready) for state in read_extensions(connection)] == [
        ("btree_gist", "public", True),
        ("pg_sphere", "public", True),
    ]


def test_installing_twice_installs_once(empty_database: Callable[[], sa.URL]) -> None:
    with checked_connection(empty_database()) as session:
        assert install_extensions(session) == ("btree_gist", "pg_sphere")
        assert install_extensions(session) == ()
        require_extensions(session)


def test_the_statements_of_a_dry_run_are_rolled_back_and_do_what_they_say(
    empty_database: Callable[[], sa.URL],
) -> None:
    with checked_connection(empty_database()) as session:
        statements = install_statements(session)
        assert not any(state.installed for state in read_extensions(session))
        for statement in statements:
            session.exec_driver_sql(statement, execution_options={"no_parameters": True})
        require_extensions(session)


@pytest.mark.parametrize("name", ["btree_gist", "pg_sphere"])
def test_an_extension_that_is_not_installed_is_one_error_with_the_remedy(
    connection: sa.Connection, name: str
) -> None:
    connection.execute(sa.text(f"DROP EXTENSION {name}"))
    with pytest.raises(MissingExtensionError) as caught:
        require_extensions(connection)
    assert caught.value.name == name
    assert str(caught.value).startswith(f"tapdb needs the PostgreSQL extension {name}; version ")
    assert "tapdb extensions install" in str(caught.value)
    # Not CREATE EXTENSION: that fails where pg_sphere has to be mended.
    assert "As a superuser run: tapdb extensions install (" in str(caught.value)
    assert "CREATE EXTENSION" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "package"), [("btree_gist", "postgresql-17"), ("pg_sphere", "postgresql-17-pgsphere")]
)
def test_a_package_that_is_not_on_the_machine_is_named_for_the_servers_version(
    name: str, package: str
) -> None:
    state = ExtensionState(name, available=None, installed=None, schema=None, server_major=17)
    assert not state.ready
    assert f"sudo apt-get install {package})" in str(state.error())


def test_pg_sphere_in_another_schema_is_refused_with_the_command_that_moves_it(
    connection: sa.Connection,
) -> None:
    connection.exec_driver_sql("CREATE SCHEMA elsewhere")
    connection.exec_driver_sql("ALTER EXTENSION pg_sphere SET SCHEMA elsewhere")
    for check in (require_extensions, install_extensions):
        with pytest.raises(MissingExtensionError, match='in schema "elsewhere"') as caught:
            check(connection)
        remedy = caught.value.remedy.removeprefix("As its owner run: ")
    connection.exec_driver_sql(remedy)
    require_extensions(connection)


def test_btree_gist_may_be_in_any_schema(connection: sa.Connection) -> None:
    connection.exec_driver_sql("CREATE SCHEMA elsewhere")
    connection.exec_driver_sql("ALTER EXTENSION btree_gist SET SCHEMA elsewhere")
    require_extensions(connection)


def test_a_user_without_rights_is_told_to_ask_a_superuser(empty_database: Callable[[], sa.URL]) -> None:
    with checked_connection(empty_database()) as session:
        session.exec_driver_sql("CREATE ROLE somebody")
        session.exec_driver_sql("SET LOCAL ROLE somebody")
        with pytest.raises(MissingExtensionError, match="As a superuser run: tapdb extensions install "):
            install_extensions(session)
        session.rollback()
