"""Roles and rights: who may migrate, what the reader sees, and roles that several databases share."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator

import psycopg.errors
import pytest
import sqlalchemy as sa
from psycopg import sql

from tapdb.postgres.catalog import describe
from tapdb.postgres.engine import create_engine
from tapdb.server.ephemeral import EphemeralServer
from tapdb.sources import execute_composed, execute_text
from tests.plugins.migration_fixtures import RunAlembic

REGISTRY = """
CREATE SCHEMA registry;
CREATE TABLE registry.dataset (id int PRIMARY KEY, region text);
INSERT INTO registry.dataset VALUES (1, NULL), (2, 'no region');
"""

Logins = Callable[..., Callable[[sa.URL], sa.URL]]
"""A function that makes a login, and returns one that gives a URL as that login."""


def run(url: sa.URL, text: str) -> list[tuple[object, ...]]:
    """Run SQL, commit, and return the rows if there are any."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.exec_driver_sql(text, execution_options={"no_parameters": True})
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def roles(url: sa.URL) -> set[object]:
    return {name for (name,) in run(url, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'tapdb%'")}


@pytest.fixture
def logins(other_server: EphemeralServer) -> Iterator[Logins]:
    """Return a function that makes a role with a password, and gives URLs as that role."""
    made: list[str] = []
    administrator = other_server.url("postgres")

    def make(name: str, attributes: str = "") -> Callable[[sa.URL], sa.URL]:
        run(administrator, f"CREATE ROLE {name} LOGIN PASSWORD 'secret-{name}' {attributes}")
        made.append(name)
        return lambda url: url.set(username=name, password=f"secret-{name}")

    yield make
    engine = create_engine(administrator)
    for name in made:
        with engine.begin() as connection:
            execute_composed(connection, sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    engine.dispose()


@pytest.fixture
def make_database(logins: Logins, other_server_database: Callable[[str], sa.URL]) -> Callable[[str], sa.URL]:
    """Return a function that makes a database; databases go before the logins that own things in them."""
    return other_server_database


def owned_registry(url: sa.URL, owner: str) -> None:
    """Give a database a registry that belongs to a login, who may create schemas."""
    run(
        url,
        f"CREATE SCHEMA registry AUTHORIZATION {owner}; GRANT CREATE ON DATABASE {url.database} TO {owner}",
    )


@pytest.mark.usefixtures("derived_package")
def test_a_dba_with_createrole_who_owns_the_registry_can_migrate_up_and_down(
    make_database: Callable[[str], sa.URL],
    logins: Logins,
    alembic: RunAlembic,
) -> None:
    url = make_database("least")
    dba = logins("dba", "CREATEROLE")(url)
    owned_registry(url, "dba")
    run(dba, REGISTRY.replace("CREATE SCHEMA registry;", ""))
    engine = create_engine(url)
    with engine.connect() as connection:
        before = describe(connection, roles=["tapdb_owner", "tapdb_reader", "tapdb_service", "dba"])
    up = alembic(dba, "-x", "obscore=off", "upgrade", "head")
    assert up.returncode == 0, up.stderr
    assert run(url, "SELECT count(*) FROM ivoa.seen") == [(2,)]
    assert run(url, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'tapdb'") == [
        ("tapdb_owner",)
    ]
    check = alembic(dba, "-x", "obscore=off", "check")
    assert check.returncode == 0, check.stderr
    down = alembic(dba, "-x", "obscore=off", "downgrade", "base")
    assert down.returncode == 0, down.stderr
    with engine.connect() as connection:
        assert describe(connection, roles=["tapdb_owner", "tapdb_reader", "tapdb_service", "dba"]) == before
    engine.dispose()


def test_a_user_without_rights_is_told_what_a_superuser_has_to_run_and_that_is_enough(
    make_database: Callable[[str], sa.URL],
    logins: Logins,
    alembic: RunAlembic,
) -> None:
    url = make_database("without")
    user = logins("plain_user")(url)
    refused = alembic(user, "-x", "obscore=off", "upgrade", "head")
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert "secret" not in refused.stderr
    statements = [line.strip() for line in refused.stderr.splitlines() if line.endswith(";")]
    assert statements == [
        "CREATE ROLE tapdb_owner NOLOGIN;",
        "CREATE ROLE tapdb_reader NOLOGIN;",
        "CREATE ROLE tapdb_service NOLOGIN;",
        "GRANT tapdb_owner TO plain_user;",
        "GRANT CREATE ON DATABASE without TO plain_user;",
    ]
    assert run(url, "SELECT to_regnamespace('tapdb')") == [(None,)]
    run(url, "".join(statements))
    allowed = alembic(user, "-x", "obscore=off", "upgrade", "head")
    assert allowed.returncode == 0, allowed.stderr
    down = alembic(user, "-x", "obscore=off", "downgrade", "base")
    assert down.returncode == 0, down.stderr
    # Who may not make roles may not drop them either; they are kept, and said to be.
    kept = [line for line in down.stderr.splitlines() if "is kept: " in line]
    assert len(kept) == 3
    assert all("is kept: permission denied to drop role" in line for line in kept)
    assert not any(line.endswith((":", ": ")) for line in kept)
    assert roles(url) == {"tapdb_owner", "tapdb_reader", "tapdb_service"}
    advised = [line.partition("a superuser runs: ")[2] for line in down.stderr.splitlines()]
    run(url, "".join(advised))
    assert roles(url) == set()


@pytest.mark.parametrize("action", [("current",), ("check",)], ids=" ".join)
def test_who_may_only_read_is_told_the_exact_statements_with_which_a_revision_can_be_read_and_compared(
    make_database: Callable[[str], sa.URL],
    logins: Logins,
    alembic: RunAlembic,
    action: tuple[str, ...],
) -> None:
    url = make_database("reading")
    assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    user = logins("only_reads")(url)
    run(url, "GRANT tapdb_reader TO only_reads")
    refused = alembic(user, *action)
    assert refused.returncode == 1
    statements = [line.strip() for line in refused.stderr.splitlines() if line.endswith(";")]
    assert (
        statements
        == {
            "current": ["GRANT SELECT ON tapdb.alembic_version TO only_reads;"],
            "check": ["GRANT tapdb_owner TO only_reads;", "GRANT CREATE ON DATABASE reading TO only_reads;"],
        }[action[0]]
    )
    for statement in statements:
        # Each of them is needed.
        assert alembic(user, *action).returncode == 1
        run(url, statement)
    allowed = alembic(user, *action)
    assert allowed.returncode == 0, allowed.stderr


def test_a_member_of_the_owner_who_may_create_nothing_can_upgrade_what_is_there(
    make_database: Callable[[str], sa.URL],
    logins: Logins,
    alembic: RunAlembic,
) -> None:
    url = make_database("second_dba")
    assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    user = logins("colleague")(url)
    refused = alembic(user, "-x", "obscore=off", "upgrade", "head")
    assert "GRANT tapdb_owner TO colleague;" in refused.stderr
    run(url, "GRANT tapdb_owner TO colleague")
    allowed = alembic(user, "-x", "obscore=off", "upgrade", "head")
    assert allowed.returncode == 0, allowed.stderr


def test_half_a_membership_is_found_before_anything_is_changed_and_the_statement_makes_it_whole(
    make_database: Callable[[str], sa.URL],
    logins: Logins,
    alembic: RunAlembic,
) -> None:
    url = make_database("halves")
    assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    ((version,),) = run(url, "SELECT current_setting('server_version_num')::int")
    assert isinstance(version, int)
    whole = "GRANT tapdb_owner TO {} WITH INHERIT TRUE, SET TRUE;"
    halves = [("half_a", "NOINHERIT", "", whole if version >= 160000 else "ALTER ROLE {} INHERIT;")]
    if version >= 160000:
        halves += [
            ("half_b", "", "WITH INHERIT TRUE, SET FALSE", whole),
            ("half_c", "", "WITH INHERIT FALSE, SET TRUE", whole),
        ]
    for name, attributes, options, statement in halves:
        user = logins(name, attributes)(url)
        run(url, f"GRANT tapdb_owner TO {name} {options}")
        refused = alembic(user, "-x", "obscore=off", "upgrade", "head")
        assert [line.strip() for line in refused.stderr.splitlines() if line.endswith(";")] == [
            statement.format(name)
        ]
        run(url, statement.format(name))
        allowed = alembic(user, "-x", "obscore=off", "upgrade", "head")
        assert allowed.returncode == 0, allowed.stderr


@pytest.mark.usefixtures("derived_package")
def test_the_reader_reads_what_is_published_and_nothing_else(
    make_database: Callable[[str], sa.URL],
    logins: Logins,
    alembic: RunAlembic,
) -> None:
    url = make_database("reader")
    run(url, REGISTRY)
    assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    service = logins("tap_service")(url)
    run(url, "GRANT tapdb_reader TO tap_service; SET ROLE tapdb_owner; CREATE TABLE tap_schema.later (x int)")
    assert run(service, "SELECT id, s_region FROM ivoa.seen ORDER BY id") == [(1, None), (2, None)]
    assert run(service, "SELECT * FROM tap_schema.later") == []
    for forbidden in (
        "SELECT * FROM registry.dataset",
        "SELECT * FROM tapdb.view_definition",
        "SELECT * FROM tapdb.dataset_type_mapping",
        "SELECT * FROM tapdb.alembic_version",
        "INSERT INTO tap_schema.later VALUES (1)",
        "CREATE TABLE ivoa.mine (x int)",
        "CREATE TABLE tapdb.mine (x int)",
        "SET ROLE tapdb_owner",
    ):
        with pytest.raises(sa.exc.ProgrammingError) as caught:
            run(service, forbidden)
        assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege), forbidden


def test_roles_that_another_database_uses_are_kept_and_the_last_takes_them_away(
    make_database: Callable[[str], sa.URL], alembic: RunAlembic
) -> None:
    first, second = make_database("first"), make_database("second")
    for url in (first, second):
        assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    down = alembic(first, "-x", "obscore=off", "downgrade", "base")
    assert down.returncode == 0, down.stderr
    assert "role tapdb_owner is kept" in down.stderr
    assert "in database second" in down.stderr
    assert roles(first) == {"tapdb_owner", "tapdb_reader", "tapdb_service"}
    assert alembic(second, "-x", "obscore=off", "downgrade", "base").returncode == 0
    assert roles(first) == set()


def test_roles_with_another_member_are_kept_with_that_member(
    make_database: Callable[[str], sa.URL],
    logins: Logins,
    alembic: RunAlembic,
) -> None:
    url = make_database("member")
    assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    service = logins("tap_login")(url)
    run(url, "GRANT tapdb_reader TO tap_login")
    down = alembic(url, "-x", "obscore=off", "downgrade", "base")
    assert "role tapdb_reader is kept: tap_login is a member of it" in down.stderr
    assert roles(url) == {"tapdb_reader"}
    assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    assert run(service, "SELECT has_schema_privilege('ivoa', 'USAGE')") == [(True,)]


def test_migrations_of_two_databases_at_once_share_the_roles(
    make_database: Callable[[str], sa.URL], alembic: RunAlembic
) -> None:
    first, second = make_database("at_once_first"), make_database("at_once_second")
    engine = create_engine(first)
    with engine.connect() as connection:
        # Half a migration of the first database, which holds the new roles back from everybody else.
        for name in ("tapdb_owner", "tapdb_reader", "tapdb_service"):
            execute_text(connection, f"CREATE ROLE {name} NOLOGIN")
        done: list[subprocess.CompletedProcess[str]] = []
        arguments = ("-x", "obscore=off", "-x", "lock_timeout_ms=300", "upgrade", "head")
        other = threading.Thread(target=lambda: done.append(alembic(second, *arguments)))
        other.start()
        other.join(3)
        assert other.is_alive(), "it should wait for the roles, longer than for any other lock"
        connection.commit()
        other.join(60)
    engine.dispose()
    assert done[0].returncode == 0, done[0].stderr
    assert alembic(first, "-x", "obscore=off", "upgrade", "head").returncode == 0
