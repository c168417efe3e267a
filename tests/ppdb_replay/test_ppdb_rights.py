"""Users who lack rights on a PPDB, and databases that have none: told so, with what is enough."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from adql import metadata_from_rows
from ppdb_replay import capture, replay
from tap_query.errors import QueryFailedError
from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine
from tests.plugins.rights_fixtures import change_owner, refused, run_as_user, until_done
from tests.ppdb_replay.ppdb_rows import connect, insert_object


@pytest.fixture
def foreign_ppdb(logins: None, ppdb_plain_database: sa.URL) -> sa.URL:
    """Return a database whose tables of a PPDB belong to somebody else, as those of dax_ppdb do."""
    change_owner(ppdb_plain_database, "ppdb")
    return ppdb_plain_database


def versioned(url: sa.URL) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        query = "SELECT count(*) FROM ppdb_history.versioned_table"
        number = int(connection.exec_driver_sql(query).scalar_one())
    engine.dispose()
    return number


def test_what_is_advised_is_enough_to_install_and_uninstall(foreign_ppdb: sa.URL) -> None:
    install = ("ppdb", "install", "--no-describe")
    statements = refused(run_as_user(foreign_ppdb, *install))
    assert any(line.startswith("GRANT rights_owner TO ") for line in statements)
    assert versioned(foreign_ppdb) == 0
    until_done(foreign_ppdb, lambda: run_as_user(foreign_ppdb, *install), most=1)
    assert versioned(foreign_ppdb) > 0
    until_done(foreign_ppdb, lambda: run_as_user(foreign_ppdb, "ppdb", "uninstall", "--no-describe"), most=0)
    assert versioned(foreign_ppdb) == 0


@pytest.mark.usefixtures("logins")
def test_what_is_advised_is_enough_to_make_the_tables(migrated_database: sa.URL) -> None:
    until_done(
        migrated_database, lambda: run_as_user(migrated_database, "ppdb", "create", "--no-describe"), most=1
    )


def test_a_database_without_versioned_tables_has_no_ppdb_to_check(
    migrated_database: sa.URL, ppdb_plain_database: sa.URL
) -> None:
    for url in (migrated_database, ppdb_plain_database):
        text = url.render_as_string(hide_password=False)
        result = CliRunner().invoke(main, ["ppdb", "check", "--url", text])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Error: no table of this database is versioned" in result.stderr


# Row security: what is made of the rows that a policy leaves is refused; a plain query shows them.

ROLES = """
CREATE ROLE rows_reader LOGIN PASSWORD 'x' IN ROLE tapdb_reader;
CREATE ROLE rows_all LOGIN PASSWORD 'x' BYPASSRLS IN ROLE tapdb_reader;
CREATE ROLE rows_owner LOGIN PASSWORD 'x' IN ROLE tapdb_owner;
"""
POLICY = "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY; CREATE POLICY part ON {0} USING ({1})"
VERSIONS = tuple(
    POLICY.format(relation, '"diaObjectId" < 3')
    for relation in ('ppdb."DiaObject"', 'ppdb_history."DiaObject"', 'ppdb_history."DiaObject_closed"')
)
REFUSED = "query would be affected by row-level security policy"


@pytest.fixture
def rows(ppdb_database: sa.URL) -> Iterator[sa.URL]:
    """Return a PPDB of five objects, and three roles."""
    with connect(ppdb_database) as connection:
        connection.execute(ROLES.encode())
        for number in range(1, 6):
            insert_object(connection, number)
    yield ppdb_database
    with connect(ppdb_database) as connection:
        for role in ("rows_reader", "rows_all", "rows_owner"):
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def change(url: sa.URL, *statements: str) -> None:
    with connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def of(url: sa.URL, role: str) -> sa.URL:
    return url.set(username=role, password="x")


def run(url: sa.URL, role: str, *arguments: str) -> Any:
    text = of(url, role).render_as_string(hide_password=False)
    return CliRunner().invoke(main, [*arguments, "--url", text])


def test_rows_that_a_policy_hides_are_no_tampering(rows: sa.URL) -> None:
    change(rows, *VERSIONS)
    for role, seen in (("rows_reader", False), ("rows_all", True), ("rows_owner", True)):
        result = run(rows, role, "ppdb", "verify")
        if seen:
            assert result.exit_code == 0, result.stderr
        else:
            assert (result.exit_code, result.stdout) == (1, "")
            assert REFUSED in result.stderr
            assert "BYPASSRLS" in result.stderr
            assert "GRANT" not in result.stderr


def test_versions_of_a_part_of_the_rows_are_not_installed(rows: sa.URL) -> None:
    change(
        rows,
        "CREATE SCHEMA more AUTHORIZATION rows_owner",
        "CREATE TABLE more.things (id bigint PRIMARY KEY); INSERT INTO more.things VALUES (1), (2), (3)",
        POLICY.format("more.things", "id < 3"),
        "ALTER TABLE more.things OWNER TO rows_owner; ALTER TABLE more.things FORCE ROW LEVEL SECURITY",
    )
    install = ("ppdb", "install", "--schema", "more", "--table", "things", "--no-describe")
    result = run(rows, "rows_owner", *install)
    assert (result.exit_code, REFUSED in result.stderr) == (1, True), result.stderr
    change(rows, "ALTER TABLE more.things NO FORCE ROW LEVEL SECURITY")
    assert run(rows, "rows_owner", *install).exit_code == 0
    assert run(rows, "rows_all", "ppdb", "verify").exit_code == 0


@pytest.mark.parametrize("record", ["clock", "snapshot", "snapshot_table", "versioned_column"])
def test_records_that_a_policy_hides_are_not_recorded(rows: sa.URL, record: str) -> None:
    text = "SELECT diaObjectId FROM DiaObject"
    with connect(of(rows, "rows_reader"), autocommit=True) as reader:
        before = capture(reader, text)
        change(rows, POLICY.format(f"ppdb_history.{record}", "false"))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=REFUSED):
            capture(reader, text)
    with connect(of(rows, "rows_all"), autocommit=True) as other:
        assert capture(other, text).record.snapshot_digest == before.record.snapshot_digest
        assert replay(other, before.record).is_identical


@pytest.mark.parametrize("through", ["kept", "shown"])
def test_another_published_table_whose_rows_are_cut_is_not_digested(rows: sa.URL, through: str) -> None:
    change(
        rows,
        "CREATE SCHEMA more; CREATE TABLE more.kept (id bigint); INSERT INTO more.kept VALUES (1), (2), (3)",
        "CREATE VIEW more.shown AS SELECT id FROM more.kept",
        "ALTER VIEW more.shown OWNER TO tapdb_owner; GRANT USAGE ON SCHEMA more TO PUBLIC",
        "GRANT SELECT ON more.kept, more.shown TO PUBLIC",
        POLICY.format("more.kept", "id < 3"),
    )
    name = f"more.{through}"
    published = metadata_from_rows(
        [{"table_name": name}], [{"table_name": name, "column_name": "id", "datatype": "long"}]
    )
    text = f"SELECT id FROM {name}"  # noqa: S608
    with (
        connect(of(rows, "rows_reader"), autocommit=True) as reader,
        pytest.raises(QueryFailedError, match=f"{REFUSED}.*BYPASSRLS"),
    ):
        capture(reader, text, published=published)
    change(rows, "ALTER TABLE more.kept DISABLE ROW LEVEL SECURITY")
    with connect(of(rows, "rows_reader"), autocommit=True) as reader:
        assert sorted(capture(reader, text, published=published).rows) == [(1,), (2,), (3,)]


def test_a_plain_query_shows_what_a_policy_leaves(rows: sa.URL, tmp_path: Path) -> None:
    felis = tmp_path / "ppdb.yaml"
    column = {"name": "diaObjectId", "datatype": "long"}
    felis.write_text(json.dumps({"name": "ppdb", "tables": [{"name": "DiaObject", "columns": [column]}]}))
    change(rows, *VERSIONS)
    asked = (
        "query",
        "run",
        "SELECT diaObjectId FROM ppdb.DiaObject",
        "--format",
        "csv",
        "--felis",
        str(felis),
    )
    for role, number in (("rows_reader", 2), ("rows_all", 5)):
        result = run(rows, role, *asked)
        assert len(result.stdout.splitlines()) == 1 + number, result.stderr


def test_stored_queries_that_a_policy_hides_are_not_passed_over(rows: sa.URL) -> None:
    change(rows, POLICY.format("ppdb_history.stored_query", "false"))
    for command in ("verify-all", "list"):
        result = run(rows, "rows_reader", "replay", command)
        assert (result.exit_code, REFUSED in result.stderr) == (1, True), result.stderr
        assert run(rows, "rows_all", "replay", command).exit_code == 0


def test_a_clock_without_its_row_is_told_by_all_that_read_it(ppdb_database: sa.URL) -> None:
    change(ppdb_database, "DELETE FROM ppdb_history.clock")
    text = ppdb_database.render_as_string(hide_password=False)
    for command in ("verify", "snapshot"):
        result = CliRunner().invoke(main, ["ppdb", command, "--url", text])
        assert (result.exit_code, "the clock of PPDB snapshots has no row" in result.stderr) == (1, True)
