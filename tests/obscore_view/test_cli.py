"""``tapdb obscore``: every command on real Butler registries."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command as migration
from click.testing import CliRunner, Result

from examples.lsstcam import Pair
from obscore_view import data_id, read_registry
from obscore_view.view.store import read_stored_views
from tapdb.cli.root import main
from tapdb.migrate.run import alembic_config
from tapdb.postgres.catalog import Catalog, describe, diff
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment
from tapdb.sources import execute_text
from tests.plugins.migration_fixtures import RunAlembic
from tests.plugins.view_fixtures import view_config_text

NEW = "fresh.ObsCore"
MORE = "dataset_types:\n  more:\n    dataproduct_type: image\n    calib_level: 1\n    obs_id_fmt: '{visit}'\n"
GRANTS = """
REVOKE SELECT ON ivoa.obscore FROM tapdb_reader;
GRANT SELECT (obs_id) ON ivoa.obscore TO pg_monitor WITH GRANT OPTION;
GRANT SELECT ON tapdb.ivoa_obscore_observation TO pg_monitor;
"""


@pytest.fixture
def engine(view_pair: Pair) -> Iterator[sa.Engine]:
    engine = create_engine(view_pair.url)
    yield engine
    engine.dispose()


@pytest.fixture
def butler_engine(butler_pair: Pair) -> Iterator[sa.Engine]:
    engine = create_engine(butler_pair.url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def foreign_names(view_template: Pair, clone_for_session: Callable[[str], sa.URL]) -> sa.URL:
    """Return a database in which names are taken; no test changes it."""
    url = clone_for_session(str(view_template.url.database))
    psql(
        url,
        "CREATE SCHEMA fresh; CREATE VIEW fresh.a_view AS SELECT 1; CREATE SEQUENCE fresh.a_sequence; "
        "CREATE TABLE fresh.t (i int); CREATE INDEX an_index ON fresh.t (i); "
        "CREATE TYPE fresh.a_row AS (i int); CREATE TYPE fresh.an_enum AS ENUM (); "
        "CREATE MATERIALIZED VIEW fresh.materialized AS SELECT 1",
    )
    return url


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the file of a configuration whose view is not there yet."""
    path = tmp_path / "obscore.yaml"
    path.write_text(view_config_text(NEW))
    return path


def run(url: sa.URL, *arguments: object, **environment: str) -> Result:
    text = url.render_as_string(hide_password=False)
    return CliRunner(env={"TAPDB_URL": text, **environment}).invoke(main, ["obscore", *map(str, arguments)])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def catalog(engine: sa.Engine) -> Catalog:
    with engine.connect() as connection:
        schemas = ("ivoa", "tapdb", "plain", "live", "fresh", "embargo", "untouched")
        return describe(connection, schemas)


def records(engine: sa.Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        query = "SELECT view_schema, config_sha256, fingerprint FROM tapdb.view_definition ORDER BY 1"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def psql(url: sa.URL, script: str) -> None:
    subprocess.run(
        ["psql", "-Xq", "-v", "ON_ERROR_STOP=1"],
        input=script,
        env=client_environment(url),
        check=True,
        text=True,
        capture_output=True,
    )


def count(engine: sa.Engine, view: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(sa.text(view))) or 0


def test_create_makes_the_view_and_drop_takes_all_of_it_away(engine: sa.Engine, config: Path) -> None:
    before = catalog(engine)
    created = done(run(engine.url, "create", "-c", config, "--registry-schema", "plain"))
    assert "Created fresh.obscore" in created.stderr
    assert created.stdout == ""
    assert count(engine, "fresh.obscore") == count(engine, "ivoa.obscore")
    with engine.connect() as connection:
        stored = next(one for one in read_stored_views(connection) if one.schema == "fresh")
    assert stored.config_yaml == config.read_text()
    again = run(engine.url, "create", "-c", config, "--registry-schema", "plain")
    assert again.exit_code == 1
    assert "fresh.obscore is there already" in again.stderr
    dropped = done(run(engine.url, "drop", "--view", "fresh.ObsCore"))
    assert "Dropped fresh.obscore" in dropped.stderr
    assert diff(before, catalog(engine)) == ()


def geometry_of(engine: sa.Engine, view: str) -> str:
    with engine.connect() as connection:
        query = sa.text("SELECT geometry_mode FROM tapdb.view_definition WHERE view_schema = :schema")
        return str(connection.scalar(query, {"schema": view.partition(".")[0]}))


def stating(config: Path, geometry: str | None) -> Path:
    """Write a configuration that says this of its geometry, or nothing."""
    config.write_text(view_config_text(NEW, **({} if geometry is None else {"geometry": geometry})))
    return config


def test_options_stay_when_the_configuration_is_named_later(engine: sa.Engine, config: Path) -> None:
    stating(config, None)
    options = ("--geometry", "none", "--registry-schema", "live")
    done(run(engine.url, "create", "-c", config, *options))
    done(run(engine.url, "check", "-c", config))
    done(run(engine.url, "check", TAPDB_OBSCORE_CONFIG=str(config)))
    assert "->" not in done(run(engine.url, "refresh", "-c", config)).stderr
    assert geometry_of(engine, NEW) == "none"
    # Another change of the file. There are two registries: which it is has been said when the view was made.
    config.write_text(config.read_text().replace("facility_name: Rubin-LSST", "facility_name: Rubin"))
    url = engine.url.render_as_string(hide_password=False)
    migration.upgrade(alembic_config(url=url, obscore_config=str(config)), "head")
    with engine.connect() as connection:
        stored = next(one for one in read_stored_views(connection) if one.schema == "fresh")
    assert (stored.registry_schema, geometry_of(engine, NEW)) == ("live", "none")
    assert "facility_name: Rubin\n" in stored.config_yaml


def test_what_a_configuration_says_since_goes_before_an_option_of_before_and_is_shown(
    engine: sa.Engine, config: Path
) -> None:
    stating(config, None)
    done(run(engine.url, "create", "-c", config, "--registry-schema", "live", "--geometry", "none"))
    stating(config, "table")
    found = run(engine.url, "check", "-c", config, "--view", NEW, "--format", "json")
    assert found.exit_code == 1
    (finding,) = json.loads(found.stdout)
    assert finding["problem"] == "is another than the view was made from (geometry: none -> table)"
    told = done(run(engine.url, "refresh", "-c", config)).stderr
    assert "fresh.obscore: geometry: none -> table\n" in told
    assert geometry_of(engine, NEW) == "table"


def test_a_plan_has_the_options_of_the_view_that_is_there(engine: sa.Engine, config: Path) -> None:
    stating(config, "table")
    options = ("--registry-schema", "live")
    planned = done(run(engine.url, "plan", "-c", config, *options)).stdout
    assert "CREATE OR REPLACE TRIGGER" in planned
    done(run(engine.url, "create", "-c", config, "--geometry", "none", *options))
    for arguments, triggers in ((("plan",), False), (("plan", "--geometry", "table"), True)):
        again = done(run(engine.url, *arguments, "-c", config, *options)).stdout
        assert ("CREATE OR REPLACE TRIGGER" in again) == triggers


@pytest.mark.parametrize(
    ("command", "geometry"),
    [
        ("refresh", "table"),
        ("migrate", "none"),
        *(
            pytest.param(*both, marks=pytest.mark.soak)
            for both in (
                ("refresh", "index"),
                ("refresh", "none"),
                ("migrate", "table"),
                ("migrate", "index"),
            )
        ),
    ],
)
def test_a_view_goes_over_to_the_registry_that_its_configuration_names_since(
    engine: sa.Engine, config: Path, geometry: str, command: str
) -> None:
    config.write_text(view_config_text(NEW, geometry=geometry, registry_schema="live"))
    done(run(engine.url, "create", "-c", config))
    done(run(engine.url, "drop", "--view", "ivoa.obscore"))
    config.write_text(view_config_text(NEW, geometry=geometry, registry_schema="plain"))
    assert run(engine.url, "check", "-c", config, "--view", NEW).exit_code == 1
    if command == "refresh":
        assert "of the registry in schema plain" in done(run(engine.url, "refresh", "-c", config)).stderr
    else:
        url = engine.url.render_as_string(hide_password=False)
        migration.upgrade(alembic_config(url=url, obscore_config=str(config)), "head")
    done(run(engine.url, "check", "--deep"))
    refreshed = catalog(engine)
    with engine.connect() as connection:
        stored = next(one for one in read_stored_views(connection) if one.schema == "fresh")
    assert stored.registry_schema == "plain"
    # It is what a creation makes: nothing is left of the registry before.
    done(run(engine.url, "drop", "--view", NEW))
    done(run(engine.url, "create", "-c", config))
    assert diff(refreshed, catalog(engine)) == ()


def test_a_view_that_is_named_by_an_option_is_checked_by_that_name(
    engine: sa.Engine, config: Path, tmp_path: Path
) -> None:
    stating(config, "table")
    options = ("--view", "other.ObsCore", "--registry-schema", "live")
    done(run(engine.url, "create", "-c", config, "--geometry", "none", *options))
    done(run(engine.url, "check", "-c", config, "--view", "other.ObsCore"))
    # What is saved makes the same view again, options too.
    done(run(engine.url, "drop", "--view", "other.ObsCore", "--save-config", tmp_path))
    saved = tmp_path / "other.obscore.yaml"
    done(run(engine.url, "create", "-c", saved, "--registry-schema", "live"))
    assert geometry_of(engine, "other.ObsCore") == "none"
    done(run(engine.url, "check", "-c", saved))
    done(run(engine.url, "check", "-c", config, "--view", "other.ObsCore"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("plain.visit", "a table"),
        ("fresh.a_view", "a view"),
        ("fresh.a_sequence", "a sequence"),
        ("fresh.an_index", "an index"),
        ("fresh.a_row", "a type"),
        ("fresh.an_enum", "a type"),
        ("fresh.materialized", "a materialized view"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_name_that_something_else_has_is_an_error_that_says_what_it_is(
    foreign_names: sa.URL, config: Path, name: str, found: str, more: tuple[str, ...]
) -> None:
    options = ("--registry-schema", "plain", "--view", name, *more)
    result = run(foreign_names, "create", "-c", config, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f'Error: {name} is {found} of "postgres" that tapdb has not made; take another name for the view: '
        "--view or key view in section tapdb of the configuration\n"
    )


def test_options_of_the_command_line_win_and_are_recorded(engine: sa.Engine, config: Path) -> None:
    options = ("--view", "other.ObsCore", "--geometry", "none", "--registry-schema", "live")
    done(run(engine.url, "create", "-c", config, *options))
    assert count(engine, "other.obscore") == count(engine, "embargo.obscore")
    done(run(engine.url, "refresh", "--view", "other.obscore"))
    with engine.connect() as connection:
        stored = next(one for one in read_stored_views(connection) if one.schema == "other")
    assert (stored.registry_schema, stored.objects.tables) == ("live", ())


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "-c", "CONFIG", "--registry-schema", "plain"),
        ("create", "-c", "CONFIG", "--registry-schema", "plain", "--dry-run"),
        ("refresh", "--view", "ivoa.obscore", "--dry-run"),
        pytest.param(
            ("refresh", "--view", "ivoa.obscore", "--rebuild-footprints", "--dry-run"), marks=pytest.mark.soak
        ),
        pytest.param(("drop", "--view", "ivoa.obscore", "--dry-run"), marks=pytest.mark.soak),
        ("drop", "--all", "--dry-run"),
    ],
)
def test_what_is_printed_changes_nothing_until_psql_runs_it_and_then_does_the_same(
    clone_database: Callable[[str], sa.URL], view_template: Pair, config: Path, arguments: tuple[str, ...]
) -> None:
    printed, real = (create_engine(clone_database(str(view_template.url.database))) for _ in range(2))
    for engine in (printed, real):
        with engine.begin() as connection:
            execute_text(connection, GRANTS)
    texts = [str(config) if one == "CONFIG" else one for one in arguments]
    before = catalog(printed), records(printed)
    script = done(run(printed.url, *texts)).stdout
    assert (catalog(printed), records(printed)) == before
    psql(printed.url, script)
    done(run(real.url, *("create" if one == "plan" else one for one in texts if one != "--dry-run")))
    assert diff(catalog(printed), catalog(real)) == ()
    assert records(printed) == records(real)
    if arguments[0] != "refresh":
        assert (catalog(printed), records(printed)) != before
    printed.dispose()
    real.dispose()


def test_a_view_is_not_made_in_a_schema_whose_owner_could_replace_it(engine: sa.Engine, config: Path) -> None:
    psql(engine.url, "CREATE SCHEMA fresh AUTHORIZATION pg_monitor")
    for command in ("plan", "create"):
        refused = run(engine.url, command, "-c", config, "--registry-schema", "live")
        assert refused.exit_code == 2, refused.output
        assert 'the schema "fresh" belongs to pg_monitor, who could replace the view' in refused.stderr
    psql(engine.url, "ALTER SCHEMA fresh OWNER TO tapdb_owner")
    done(run(engine.url, "create", "-c", config, "--registry-schema", "live"))


def test_a_plan_needs_neither_roles_nor_tables_of_tapdb(
    butler_database_readonly: sa.URL, config: Path
) -> None:
    result = done(run(butler_database_readonly, "plan", "-c", config, "--registry-schema", "live"))
    begin = "BEGIN ISOLATION LEVEL READ COMMITTED;\nSET LOCAL lock_timeout = 3000;"
    assert result.stdout.startswith(f'{begin}\nCREATE SCHEMA "fresh";\n')
    assert result.stdout.endswith("COMMIT;\n")
    assert "14 dataset types of the registry in schema live" in result.stderr


def test_a_database_that_was_not_migrated_is_an_error_that_says_so(
    butler_database_readonly: sa.URL, config: Path
) -> None:
    for dry_run in ((), ("--dry-run",)):
        result = run(butler_database_readonly, "create", "-c", config, "--registry-schema", "live", *dry_run)
        assert result.exit_code == 1
        assert "tapdb migrate upgrade" in result.stderr


def test_a_refresh_takes_another_configuration_and_says_what_is_not_registered(
    engine: sa.Engine, tmp_path: Path
) -> None:
    path = tmp_path / "obscore.yaml"
    text = view_config_text("ivoa.obscore").replace("facility_name: Rubin-LSST", "facility_name: Elsewhere")
    path.write_text(text.replace("dataset_types:\n", MORE))
    drifted = run(engine.url, "check", "-c", path)
    assert drifted.exit_code == 1
    assert "configuration" in drifted.stdout
    result = done(run(engine.url, "refresh", "-c", path, "--rebuild-footprints"))
    assert "not registered there yet: more" in result.stderr
    done(run(engine.url, "check", "-c", path))


def test_a_configuration_of_the_environment_is_the_default(engine: sa.Engine, config: Path) -> None:
    environment = {"TAPDB_OBSCORE_CONFIG": str(config), "TAPDB_REGISTRY_SCHEMA": "plain"}
    done(run(engine.url, "create", **environment))
    done(run(engine.url, "refresh", **environment))
    # It is that of another view, which is told by name: the recorded configuration counts.
    done(run(engine.url, "refresh", "--view", "ivoa.obscore", **environment))
    assert done(run(engine.url, "check", **environment)).stderr == "No difference.\n"


def test_no_configuration_and_a_wrong_one_are_exit_code_2_with_the_place(
    engine: sa.Engine, config: Path
) -> None:
    before = catalog(engine)
    for command in ("plan", "create"):
        nothing = run(engine.url, command, TAPDB_OBSCORE_CONFIG="")
        assert nothing.exit_code == 2
        assert "-c/--config" in nothing.stderr
    config.write_text("\nfacility_nane: Rubin\n" + config.read_text())
    for command in ("plan", "create", "refresh", "check", "mapping"):
        wrong = run(engine.url, command, "-c", config)
        assert wrong.exit_code == 2
        assert f"{config}:2:1: facility_nane" in wrong.stderr
    assert diff(before, catalog(engine)) == ()


def test_no_registry_and_no_view_are_exit_code_1(database_url: sa.URL, config: Path) -> None:
    for command in ("plan", "mapping"):
        result = run(database_url, command, "-c", config)
        assert result.exit_code == 1
        assert "Butler registry" in result.stderr
    for arguments in (("refresh",), ("drop",), ("check",), ("mapping",), ("export", "-o", "x.csv")):
        result = run(database_url, *arguments)
        assert result.exit_code == 1, arguments
        assert "this database has none" in result.stderr
    assert "There is no view to drop" in done(run(database_url, "drop", "--all")).stderr


def test_a_check_prints_what_it_finds_and_its_exit_code_tells_how_bad_it_is(engine: sa.Engine) -> None:
    assert done(run(engine.url, "check")).stderr == "No difference.\n"
    with engine.begin() as connection:
        execute_text(connection, "SELECT tapdb.set_region_selectivity('contsel')")
    slow = done(run(engine.url, "check", "--view", "ivoa.obscore"))
    assert "performance" in slow.stdout
    assert run(engine.url, "check", "--strict").exit_code == 1
    with engine.begin() as connection:
        execute_text(connection, "ALTER TABLE plain.visit DISABLE TRIGGER tapdb_insert")
    found = run(engine.url, "check", "--format", "json", "--deep")
    assert found.exit_code == 1
    assert {(one["place"], one["severity"]) for one in json.loads(found.stdout)} == {
        ("ivoa.obscore", "error"),
        ("ivoa.obscore", "warning"),
        ("embargo.obscore", "warning"),
    }
    rows = list(csv.DictReader(io.StringIO(run(engine.url, "check", "--format", "csv").stdout)))
    assert rows[-1].keys() == {"severity", "rule", "place", "subject", "problem", "remedy"}
    assert any("ENABLE TRIGGER" in row["remedy"] for row in rows)


def test_the_mapping_is_that_of_the_table_and_of_a_configuration(
    view_pair_readonly: Pair, config: Path, tmp_path: Path
) -> None:
    url = view_pair_readonly.url
    recorded = json.loads(done(run(url, "mapping", "--view", "ivoa.obscore", "--format", "json")).stdout)
    planned = json.loads(
        done(run(url, "mapping", "-c", config, "--registry-schema", "plain", "--format", "json")).stdout
    )
    strip = {"view_schema", "view_name"}
    by_name = [
        {row["dataset_type"]: {key: row[key] for key in row if key not in strip} for row in rows}
        for rows in (recorded, planned)
    ]
    assert by_name[0] == by_name[1]
    assert len(recorded) == 14
    everything = list(csv.DictReader(io.StringIO(done(run(url, "mapping", "--format", "csv")).stdout)))
    assert len(everything) == 3 * 14
    assert "visit_image" in done(run(url, "mapping")).stdout
    for form in ("table", "votable"):
        refused = run(url, "mapping", "--format", form, "-o", tmp_path / "nosuch" / "file")
        assert (refused.exit_code, "No such file or directory" in refused.stderr) == (1, True)
    path = tmp_path / "mapping.xml"
    done(run(url, "mapping", "--format", "votable", "-o", path, "--view", "ivoa.obscore"))
    assert path.read_text().count("<TR>") == 14


def test_resolve_prints_the_data_id(
    view_pair_readonly: Pair, view_connection_readonly: sa.Connection
) -> None:
    query = (
        "SELECT obs_publisher_did FROM ivoa.obscore WHERE dataproduct_subtype = 'lsst.visit_image' LIMIT 1"
    )
    did = view_connection_readonly.exec_driver_sql(query).scalar_one()
    expected = data_id(view_connection_readonly, did)
    plain = done(run(view_pair_readonly.url, "resolve", did)).stdout
    assert f"visit: {expected.dimensions['visit']}\n" in plain
    found = json.loads(done(run(view_pair_readonly.url, "resolve", did, "--format", "json")).stdout)
    assert found["dataset_type"] == "visit_image"
    assert found["dimensions"] == dict(expected.dimensions)
    assert run(view_pair_readonly.url, "resolve", "ivo://x").exit_code == 2
    unknown = did[:-12] + "0" * 12
    assert run(view_pair_readonly.url, "resolve", unknown).exit_code == 1


def test_butler_can_migrate_between_drop_and_create(
    butler_engine: sa.Engine, alembic: RunAlembic, tmp_path: Path
) -> None:
    engine = butler_engine
    path = tmp_path / "first.yaml"
    path.write_text(view_config_text())
    options = ("-x", "registry_schema=plain", "-x", f"obscore_config={path}")
    assert alembic(engine.url, *options, "upgrade", "head").returncode == 0
    change = "ALTER TABLE plain.visit ALTER name TYPE varchar(100)"
    with pytest.raises(sa.exc.NotSupportedError, match="used by a view"), engine.begin() as connection:
        execute_text(connection, change)
    before = catalog(engine), count(engine, "ivoa.obscore")
    saved = tmp_path / "saved"
    done(run(engine.url, "drop", "--save-config", saved))
    assert (saved / "ivoa.obscore.yaml").read_text() == path.read_text()
    with engine.begin() as connection:
        execute_text(connection, change)
    done(run(engine.url, "create", "-c", saved / "ivoa.obscore.yaml", "--registry-schema", "plain"))
    done(run(engine.url, "check", "--deep"))
    with engine.connect() as connection:
        assert read_registry(connection, "plain").columns["visit"]["name"] == "character varying(100)"
    after = catalog(engine), count(engine, "ivoa.obscore")
    assert after[1] == before[1]
    # The view itself casts what it takes of Butler: it is the same whatever the width.
    changed = {one.object for one in diff(before[0], after[0])}
    assert "table plain.visit" in changed
    assert all(
        re.match(r"view tapdb\.ivoa_obscore_.*_source$", one) for one in changed - {"table plain.visit"}
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("drop", "--view", "ivoa.obscore"),
        ("refresh", "--view", "ivoa.obscore"),
        ("create", "-c", "CONFIG", "--registry-schema", "plain"),
    ],
)
def test_a_reader_who_holds_on_is_named_and_nothing_has_changed(
    engine: sa.Engine, config: Path, arguments: tuple[str, ...]
) -> None:
    before = catalog(engine)
    reader = create_engine(engine.url, application_name="slow reader")
    with reader.begin() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM ivoa.obscore")
        connection.exec_driver_sql("LOCK TABLE plain.visit IN ROW EXCLUSIVE MODE")
        texts = [str(config) if one == "CONFIG" else one for one in arguments]
        result = run(engine.url, *texts, TAPDB_LOCK_TIMEOUT_MS="200")
    assert result.exit_code == 1
    assert "no lock within 0.2 s" in result.stderr
    assert "slow reader" in result.stderr
    assert "Nothing was changed" in result.stderr
    reader.dispose()
    assert diff(before, catalog(engine)) == ()


def test_what_others_built_on_the_view_stops_a_drop(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        execute_text(connection, "CREATE VIEW public.mine AS SELECT obs_id FROM ivoa.obscore")
    before = catalog(engine)
    result = run(engine.url, "drop", "--view", "ivoa.obscore")
    assert result.exit_code == 1
    assert "view mine depends on view ivoa.obscore" in result.stderr
    assert diff(before, catalog(engine)) == ()


def test_options_that_make_no_sense_are_exit_code_2(view_pair_readonly: Pair) -> None:
    url = view_pair_readonly.url
    assert run(url, "drop", "--all", "--view", "ivoa.obscore").exit_code == 2
    assert run(url, "export", "-o", "file.fits").exit_code == 2
    several = run(url, "refresh")
    assert several.exit_code == 1
    assert "embargo.obscore, ivoa.obscore, untouched.obscore" in several.stderr
