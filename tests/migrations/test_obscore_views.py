"""Migrations of a database with a real Butler registry: the ObsCore view comes, stays and goes with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.lsstcam.pair import Pair
from tapdb.postgres.catalog import Catalog, describe, diff
from tapdb.postgres.engine import create_engine
from tapdb.sources import execute_text
from tests.plugins.migration_fixtures import PROJECT, RunAlembic

CONFIG = PROJECT / "examples" / "lsstcam" / "obscore.yaml"
OPTIONS = ("-x", "registry_schema=plain", "-x", f"obscore_config={CONFIG}")


@pytest.fixture
def engine(butler_pair: Pair) -> Iterator[sa.Engine]:
    engine = create_engine(butler_pair.url)
    yield engine
    engine.dispose()


def catalog(engine: sa.Engine) -> Catalog:
    with engine.connect() as connection:
        return describe(connection)


def count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM ivoa.obscore").scalar_one())


def test_up_down_and_up_again_leave_butlers_tables_and_everything_else_as_they_were(
    engine: sa.Engine, alembic: RunAlembic
) -> None:
    seen = [catalog(engine)]
    rows = []
    for arguments in (("upgrade", "head"), ("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head")):
        done = alembic(engine.url, *OPTIONS, *arguments)
        assert done.returncode == 0, done.stderr
        seen.append(catalog(engine))
        rows += [count(engine)] if arguments[0] == "upgrade" else []
    before, up, up_twice, down, up_again = seen
    assert diff(up, up_twice) == ()
    assert diff(before, down) == ()
    assert diff(up, up_again) == ()
    assert len(set(rows)) == 1
    assert rows[0] > 100
    check = alembic(engine.url, "check")
    assert check.returncode == 0, check.stderr


def test_a_later_upgrade_needs_no_options_and_keeps_the_grants_of_the_dba(
    engine: sa.Engine, alembic: RunAlembic
) -> None:
    assert alembic(engine.url, *OPTIONS, "upgrade", "head").returncode == 0
    with engine.begin() as connection:
        execute_text(
            connection,
            "GRANT SELECT ON ivoa.obscore TO pg_monitor; REVOKE SELECT ON ivoa.obscore FROM tapdb_reader",
        )
    before = catalog(engine)
    done = alembic(engine.url, "upgrade", "head")
    assert done.returncode == 0, done.stderr
    assert diff(before, catalog(engine)) == ()


def test_a_configuration_that_cannot_be_used_leaves_nothing_behind(
    engine: sa.Engine, alembic: RunAlembic, tmp_path: Path
) -> None:
    before = catalog(engine)
    wrong = tmp_path / "obscore.yaml"
    shutil.copy(CONFIG, wrong)
    wrong.write_text(f"{wrong.read_text()}\nfacility_nane: Rubin\n")
    done = alembic(engine.url, *OPTIONS[:2], "-x", f"obscore_config={wrong}", "upgrade", "head")
    assert done.returncode != 0
    assert "facility_nane" in done.stderr
    assert "Traceback" not in done.stderr
    assert diff(before, catalog(engine)) == ()


def test_two_registries_and_no_choice_is_an_error_that_names_both(
    engine: sa.Engine, alembic: RunAlembic
) -> None:
    before = catalog(engine)
    done = alembic(engine.url, *OPTIONS[2:], "upgrade", "head")
    assert done.returncode != 0
    assert "plain" in done.stderr
    assert "live" in done.stderr
    assert "Traceback" not in done.stderr
    assert diff(before, catalog(engine)) == ()


def test_no_registry_is_an_error_and_leaves_nothing_behind(database_url: sa.URL, alembic: RunAlembic) -> None:
    engine = create_engine(database_url)
    before = catalog(engine)
    done = alembic(database_url, "-x", f"obscore_config={CONFIG}", "upgrade", "head")
    assert done.returncode != 0
    assert "Butler registry" in done.stderr
    assert "Traceback" not in done.stderr
    assert diff(before, catalog(engine)) == ()
    engine.dispose()


def test_who_owns_the_registry_and_may_make_roles_can_migrate_and_the_reader_reads(
    engine: sa.Engine, alembic: RunAlembic, clone_database: Callable[[str], sa.URL]
) -> None:
    with engine.begin() as connection:
        execute_text(
            connection,
            """
            CREATE ROLE tapdb_test_dba LOGIN CREATEROLE PASSWORD 'dba';
            CREATE ROLE tapdb_test_tap LOGIN PASSWORD 'tap';
            DO $$
            DECLARE
              relation regclass;
            BEGIN
              EXECUTE format('GRANT CREATE ON DATABASE %I TO tapdb_test_dba', current_database());
              -- A role that another database has made: CREATEROLE is not enough from PostgreSQL 16 on.
              IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tapdb_owner')
                AND current_setting('server_version_num')::int >= 160000
              THEN
                GRANT tapdb_owner TO tapdb_test_dba;
              END IF;
              ALTER SCHEMA plain OWNER TO tapdb_test_dba;
              FOR relation IN
                SELECT oid FROM pg_class WHERE relnamespace = 'plain'::regnamespace AND relkind = 'r'
              LOOP
                EXECUTE format('ALTER TABLE %s OWNER TO tapdb_test_dba', relation);
              END LOOP;
            END
            $$;
            """,
        )
    dba = engine.url.set(username="tapdb_test_dba", password="dba")
    try:
        before = catalog(engine)
        up = alembic(dba, *OPTIONS, "upgrade", "head")
        assert up.returncode == 0, up.stderr
        with engine.begin() as connection:
            execute_text(connection, "GRANT tapdb_reader TO tapdb_test_tap")
        reader = create_engine(engine.url.set(username="tapdb_test_tap", password="tap"))
        assert count(reader) > 100
        with (
            reader.connect() as connection,
            pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
        ):
            connection.exec_driver_sql("SELECT * FROM plain.dataset")
        reader.dispose()
        again = alembic(dba, "upgrade", "head")
        assert again.returncode == 0, again.stderr
        down = alembic(dba, *OPTIONS, "downgrade", "base")
        assert down.returncode == 0, down.stderr
        assert diff(before, catalog(engine)) == ()
    finally:
        with engine.begin() as connection:
            execute_text(
                connection,
                "REASSIGN OWNED BY tapdb_test_dba TO CURRENT_USER; DROP OWNED BY tapdb_test_dba;"
                "DROP ROLE tapdb_test_dba; DROP ROLE tapdb_test_tap",
            )
