"""The views in a migration: what is as it would be made is left alone, what has drifted is made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.lsstcam import Pair
from obscore_view.derived import ObsCoreViews
from tapdb.postgres.engine import create_engine
from tapdb.sources import execute_text
from tests.plugins.migration_fixtures import RunAlembic
from tests.plugins.view_fixtures import view_config_text

Upgrade = Callable[..., None]


@pytest.fixture
def engine(butler_pair: Pair) -> Iterator[sa.Engine]:
    engine = create_engine(butler_pair.url)
    yield engine
    engine.dispose()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "obscore.yaml"
    path.write_text(view_config_text())
    return path


@pytest.fixture
def upgrade(engine: sa.Engine, alembic: RunAlembic) -> Upgrade:
    """Return a function that runs ``alembic -x NAME=VALUE ... upgrade head``."""

    def run(**options: object) -> None:
        arguments = [one for name, value in options.items() for one in ("-x", f"{name}={value}")]
        done = alembic(engine.url, *arguments, "upgrade", "head")
        assert done.returncode == 0, done.stderr

    return run


def oids(engine: sa.Engine) -> dict[str, int]:
    query = """
        SELECT c.oid::regclass::text, c.oid FROM pg_class c
        WHERE c.relnamespace IN ('tapdb'::regnamespace, 'ivoa'::regnamespace) AND c.relkind IN ('r', 'v')
        """
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(query)}


def test_an_upgrade_with_nothing_to_do_leaves_views_and_kept_tables_alone(
    engine: sa.Engine, config: Path, upgrade: Upgrade
) -> None:
    upgrade(registry_schema="plain", obscore_config=config)
    before = oids(engine)
    assert "ivoa.obscore" in before
    assert {"tapdb.plain_region", "tapdb.ivoa_obscore_dataset"} <= before.keys()
    upgrade()
    upgrade(registry_schema="plain", obscore_config=config)
    upgrade(obscore_config=config, geometry="table")
    assert oids(engine) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("DROP VIEW ivoa.obscore", marks=pytest.mark.soak),
        pytest.param("ALTER TABLE plain.visit DISABLE TRIGGER tapdb_insert", marks=pytest.mark.soak),
        "DROP TABLE tapdb.ivoa_obscore_observation CASCADE",
        """
        INSERT INTO tapdb.kept_note (registry_schema, relation, event, kept, problem)
        VALUES ('plain', 'visit', 'UPDATE', 'ivoa_obscore', 'no such thing')
        """,
        "UPDATE tapdb.view_definition SET software_version = '0.0.1'",
    ],
)
def test_an_upgrade_makes_again_what_has_drifted(
    engine: sa.Engine, config: Path, upgrade: Upgrade, change: str
) -> None:
    upgrade(registry_schema="plain", obscore_config=config)
    before = oids(engine)
    with engine.begin() as connection:
        execute_text(connection, change)
    upgrade()
    after = oids(engine)
    assert after.keys() == before.keys()
    assert after["ivoa.obscore"] != before["ivoa.obscore"]
    with engine.connect() as connection:
        assert ObsCoreViews().is_current(connection, {})


def test_other_options_are_not_current(
    engine: sa.Engine, config: Path, upgrade: Upgrade, tmp_path: Path
) -> None:
    upgrade(registry_schema="plain", obscore_config=config)
    other = tmp_path / "other.yaml"
    other.write_text(view_config_text("embargo.ObsCore"))
    changed = tmp_path / "changed.yaml"
    changed.write_text(view_config_text().replace("calib_level: 3", "calib_level: 4"))
    views = ObsCoreViews()
    with engine.connect() as connection:
        assert views.is_current(connection, {})
        assert views.is_current(connection, {"obscore_config": str(config)})
        for options in (
            {"geometry": "none"},
            {"obscore_config": str(other)},
            {"obscore_config": str(changed)},
            {"obscore_config": str(config), "registry_schema": "live"},
        ):
            assert not views.is_current(connection, options), options


def test_a_database_without_a_view_is_not_current(migrated_database: sa.URL) -> None:
    engine = create_engine(migrated_database)
    with engine.connect() as connection:
        assert not ObsCoreViews().is_current(connection, {})
    engine.dispose()


def test_alembic_ends_with_the_exit_code_of_the_error_and_its_message_alone(
    engine: sa.Engine, alembic: RunAlembic, config: Path
) -> None:
    missing = alembic(engine.url, "-x", f"obscore_config={config}", "upgrade", "head")
    assert missing.returncode == 1
    assert "\nError: no single Butler registry" in missing.stderr
    config.write_text(config.read_text() + "unknown: 1\n")
    options = ("-x", f"obscore_config={config}", "-x", "registry_schema=plain")
    wrong = alembic(engine.url, *options, "upgrade", "head")
    assert wrong.returncode == 2
    assert f"Error: {config}:" in wrong.stderr
    assert "Traceback" not in missing.stderr + wrong.stderr
