"""Users who lack rights on a PPDB, and databases that have none: told so, with what is enough."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine
from tests.plugins.rights_fixtures import change_owner, refused, run_as_user, until_done


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
