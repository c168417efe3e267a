"""``alembic upgrade`` and ``downgrade``: what they make, in whatever way, and that nothing stays."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from tapdb.migrate.drift import SCHEMAS
from tapdb.migrate.run import alembic_config
from tapdb.postgres.catalog import Catalog, describe, diff
from tapdb.postgres.engine import create_engine
from tapdb.queue.schema import SCHEMA as QUEUE_SCHEMA
from tapdb.server.environment import client_environment
from tapdb.sources import newest_version, read_all_current
from tests.plugins.migration_fixtures import HEAD, RunAlembic

ROLES = ("tapdb_owner", "tapdb_reader", "tapdb_service")
VERSION_TABLE = "table tapdb.alembic_version"


def catalog_of(url: sa.URL, **options: object) -> Catalog:
    engine = create_engine(url)
    with engine.connect() as connection:
        catalog = describe(connection, **options)  # type: ignore[arg-type]
    engine.dispose()
    return catalog


def psql(url: sa.URL, text: str) -> None:
    done = subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env=client_environment(url),
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_up_down_and_up_again_leave_the_catalog_as_it_was(
    other_server_database: Callable[[str], sa.URL], alembic: RunAlembic
) -> None:
    url = other_server_database("up_down_up")
    seen = [catalog_of(url, roles=ROLES)]
    for arguments in (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head")):
        done = alembic(url, "-x", "obscore=off", *arguments)
        assert done.returncode == 0, done.stderr
        seen.append(catalog_of(url, roles=ROLES))
    before, up, down, up_again = seen
    assert diff(before, down) == ()
    assert diff(up, up_again) == ()
    assert {"schema ivoa", "role tapdb_reader", VERSION_TABLE} <= {fact.object for fact in up.facts}


def test_a_second_upgrade_changes_nothing(migrated_database: sa.URL, alembic: RunAlembic) -> None:
    before = catalog_of(migrated_database)
    done = alembic(migrated_database, "-x", "obscore=off", "upgrade", "head")
    assert done.returncode == 0, done.stderr
    assert diff(before, catalog_of(migrated_database)) == ()


def test_all_files_of_sql_make_the_same_as_upgrade_head(
    database_url: sa.URL, migrated_database: sa.URL
) -> None:
    for source in read_all_current():
        psql(database_url, source.text)
    migrated = catalog_of(migrated_database, schemas=SCHEMAS).without(VERSION_TABLE)
    assert diff(catalog_of(database_url, schemas=SCHEMAS), migrated) == ()
    assert len(migrated.facts) > 100


def test_every_file_of_sql_can_be_run_again_on_its_own(migrated_database: sa.URL) -> None:
    before = catalog_of(migrated_database, schemas=SCHEMAS)
    functions = [source for source in read_all_current() if source.name.startswith("functions/")]
    users = {required for source in read_all_current() for required in source.requires}
    # What others were built on can only be replaced together with them: nothing here says CASCADE.
    alone = [source for source in functions if source.name not in users]
    alone += [source for source in read_all_current() if source.name.startswith("grants/")]
    assert alone
    for source in alone:
        psql(migrated_database, source.text)
    assert diff(before, catalog_of(migrated_database, schemas=SCHEMAS)) == ()


def test_the_script_of_an_upgrade_makes_the_same_as_the_upgrade(
    database_url: sa.URL, migrated_database: sa.URL, alembic: RunAlembic
) -> None:
    script = alembic(database_url, "-x", "obscore=off", "upgrade", "head", "--sql")
    assert script.returncode == 0, script.stderr
    psql(database_url, script.stdout)
    assert diff(catalog_of(database_url), catalog_of(migrated_database)) == ()
    current = alembic(database_url, "current")
    assert current.stdout.strip() == f"{HEAD} (head)"


def test_the_script_of_a_downgrade_leaves_nothing(
    other_server_database: Callable[[str], sa.URL], alembic: RunAlembic
) -> None:
    url = other_server_database("script_down")
    before = catalog_of(url, roles=ROLES)
    assert alembic(url, "-x", "obscore=off", "upgrade", "head").returncode == 0
    script = alembic(url, "-x", "obscore=off", "downgrade", "head:base", "--sql")
    assert script.returncode == 0, script.stderr
    psql(url, script.stdout)
    assert diff(before, catalog_of(url, roles=ROLES)) == ()


def test_a_script_is_one_transaction_with_a_lock_timeout(database_url: sa.URL, alembic: RunAlembic) -> None:
    script = alembic(
        database_url, "-x", "obscore=off", "-x", "lock_timeout_ms=1234", "upgrade", "head", "--sql"
    ).stdout
    assert script.count("\nBEGIN;\n") == script.count("\nCOMMIT;\n") == 1
    assert "set_config('lock_timeout', '1234', true)" in script
    assert "ON_ERROR_STOP" in script


def test_from_python_a_migration_joins_the_callers_transaction(connection: sa.Connection) -> None:
    connection.execute(sa.text("CREATE TABLE public.mine ()"))
    command.upgrade(alembic_config(connection, obscore="off"), "head")
    assert sa.inspect(connection).has_table("view_definition", schema="tapdb")
    connection.rollback()
    assert not sa.inspect(connection).has_schema("tapdb")
    assert not sa.inspect(connection).has_table("mine", schema="public")


def test_from_python_a_migration_on_an_idle_connection_is_committed(
    connection: sa.Connection, database_url: sa.URL
) -> None:
    command.upgrade(alembic_config(connection, obscore="off"), "head")
    assert not connection.in_transaction()
    assert {fact.object for fact in catalog_of(database_url, schemas=["tapdb"]).facts} >= {VERSION_TABLE}


def test_from_python_no_logging_is_configured_and_prepared_statements_come_back(
    connection: sa.Connection,
) -> None:
    driver = connection.connection.driver_connection
    before = (driver.prepare_threshold, [*logging.getLogger().handlers])  # type: ignore[union-attr]
    command.upgrade(alembic_config(connection, obscore="off"), "head")
    assert before == (driver.prepare_threshold, [*logging.getLogger().handlers])  # type: ignore[union-attr]


def test_from_python_the_database_can_be_given_as_a_url(database_url: sa.URL) -> None:
    url = database_url.render_as_string(hide_password=False)
    command.upgrade(alembic_config(url=url, obscore="off"), "head")
    assert catalog_of(database_url, schemas=["ivoa"]).facts


def test_the_database_is_the_one_of_the_x_option_before_the_environments(
    migrated_database: sa.URL, database_url: sa.URL, alembic: RunAlembic
) -> None:
    url = migrated_database.render_as_string(hide_password=False)
    assert alembic(database_url, "-x", f"url={url}", "current").stdout.strip() == f"{HEAD} (head)"
    assert alembic(database_url, "current").stdout.strip() == ""
    assert alembic(database_url, "current", TAPDB_URL=url).stdout.strip() == f"{HEAD} (head)"
    from_libpq = alembic(migrated_database, "current", DATABASE_URL="")
    assert from_libpq.stdout.strip() == f"{HEAD} (head)"


def test_stamp_writes_the_version_and_touches_nothing_else(database_url: sa.URL, alembic: RunAlembic) -> None:
    for source in read_all_current():
        psql(database_url, source.text)
    before = catalog_of(database_url).without("schema tapdb")
    done = alembic(database_url, "stamp", "head")
    assert done.returncode == 0, done.stderr
    after = catalog_of(database_url).without("schema tapdb", VERSION_TABLE)
    assert diff(before, after) == ()
    assert alembic(database_url, "current").stdout.strip() == f"{HEAD} (head)"


def test_the_version_table_can_be_made_alone_and_a_downgrade_takes_it_away(
    database_url: sa.URL, alembic: RunAlembic
) -> None:
    before = catalog_of(database_url)
    done = alembic(database_url, "ensure_version")
    assert done.returncode == 0, done.stderr
    assert VERSION_TABLE in {fact.object for fact in catalog_of(database_url).facts}
    assert alembic(database_url, "current", "--check-heads").returncode != 0
    done = alembic(database_url, "downgrade", "base")
    assert done.returncode == 0, done.stderr
    assert diff(before, catalog_of(database_url)) == ()


def test_a_dump_that_was_restored_is_at_head_and_has_no_difference(
    migrated_database: sa.URL, database_url: sa.URL, alembic: RunAlembic
) -> None:
    dump = subprocess.run(
        ["pg_dump", *(f"--schema={schema}" for schema in (*SCHEMAS, QUEUE_SCHEMA))],
        env=client_environment(migrated_database),
        capture_output=True,
        text=True,
        check=True,
    )
    psql(database_url, dump.stdout)
    assert diff(catalog_of(migrated_database), catalog_of(database_url)) == ()
    assert alembic(database_url, "current", "--check-heads").returncode == 0
    done = alembic(database_url, "check")
    assert done.returncode == 0, done.stderr


def test_what_others_put_into_our_schemas_is_never_dropped(
    migrated_database: sa.URL, alembic: RunAlembic
) -> None:
    psql(migrated_database, "CREATE TABLE ivoa.mine (x int); INSERT INTO ivoa.mine VALUES (1);")
    before = catalog_of(migrated_database)
    done = alembic(migrated_database, "-x", "obscore=off", "downgrade", "base")
    assert done.returncode != 0
    assert "cannot drop schema ivoa because other objects depend on it" in done.stderr
    assert "while it was to drop schemas/ivoa version 1" in done.stderr
    assert "table ivoa.mine depends on schema ivoa" in done.stderr
    assert "Traceback" not in done.stderr
    assert diff(before, catalog_of(migrated_database)) == ()


def test_schema_tapdb_is_kept_if_others_use_it(migrated_database: sa.URL, alembic: RunAlembic) -> None:
    psql(migrated_database, "CREATE TABLE tapdb.mine (x int)")
    done = alembic(migrated_database, "-x", "obscore=off", "downgrade", "base")
    assert done.returncode == 0, done.stderr
    assert "schema tapdb is kept: table tapdb.mine depends on schema tapdb" in done.stderr
    objects = {fact.object for fact in catalog_of(migrated_database, schemas=SCHEMAS).facts}
    assert objects == {"schema tapdb", "table tapdb.mine"}


def test_a_foreign_schema_of_the_same_name_is_not_taken_over(
    database_url: sa.URL, alembic: RunAlembic
) -> None:
    psql(database_url, "CREATE SCHEMA ivoa; CREATE TABLE ivoa.obscore (x int)")
    before = catalog_of(database_url)
    done = alembic(database_url, "-x", "obscore=off", "upgrade", "head")
    assert done.returncode != 0
    assert 'schema "ivoa" already exists' in done.stderr
    assert diff(before, catalog_of(database_url)) == ()


def test_tables_and_columns_all_have_a_comment_and_belong_to_the_owner(migrated_database: sa.URL) -> None:
    facts = catalog_of(migrated_database, schemas=SCHEMAS).facts
    properties = {(fact.object, fact.property) for fact in facts}
    columns = [
        fact for fact in facts if fact.property.startswith("column ") and fact.property.count(" ") == 1
    ]
    assert {fact.object for fact in columns} >= {VERSION_TABLE, "table tapdb.dataset_type_mapping"}
    for fact in columns:
        assert (fact.object, f"{fact.property} comment") in properties, fact
    assert {fact.value for fact in facts if fact.property == "owner"} == {"tapdb_owner"}
    for fact in facts:
        if fact.object.partition(" ")[0] in {"schema", "table", "function"}:
            assert (fact.object, "comment") in properties, fact.object


def test_the_revisions_name_every_source_at_its_newest_version() -> None:
    versions = Path(str(alembic_config().get_main_option("script_location"))) / "versions"
    text = "".join(path.read_text() for path in versions.glob("*.py"))
    for source in read_all_current():
        assert f'"{source.name}", {newest_version(source.name)}' in text
