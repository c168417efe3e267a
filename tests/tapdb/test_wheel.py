"""The wheel in an environment of its own, outside of the tree: the main use of every command.

Once with all that extras install, and once without: then a command works, or says which extra it needs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from click import Group

from examples.database import add_repository
from examples.lsstcam import OBSCORE_CONFIG
from tapdb.cli.root import main
from tapdb.postgres.engine import checked_connection
from tapdb.server.environment import client_environment
from tests.plugins.migration_fixtures import PROJECT, RunAlembic
from tests.plugins.wheel_fixtures import Installation

SOURCE = """
INSERT INTO ppdb."DiaForcedSource"
  ("diaForcedSourceId", "diaObjectId", visit, detector, ra, dec, "midpointMjdTai", "timeProcessedMjdTai",
  "psfFlux")
VALUES (1, 7, 100, 1, 62, -37, 61000.1, 61000.2, 120.5)
"""
CONE = "SELECT TOP 3 obs_id FROM ivoa.obscore WHERE calib_level = 1"
FORCED = "SELECT visit, psfFlux FROM DiaForcedSource"

STEPS: tuple[tuple[str, str | None], ...] = (
    ("extensions check", None),
    ("sql check", None),
    ("migrate history", None),
    ("migrate sql", None),
    ("migrate init own", None),
    ("migrate upgrade --dry-run", None),
    ("migrate upgrade -x obscore=off", None),
    ("migrate current", None),
    ("migrate check", None),
    ("sql check --live", None),
    ("obscore plan -c obscore.yaml", None),
    ("obscore create -c obscore.yaml", None),
    ("obscore check --deep", None),
    ("obscore mapping --format csv", None),
    ("obscore mapping --format votable", None),
    ("obscore refresh", None),
    ("obscore resolve {did}", None),
    ("obscore export -o view.parquet", "export"),
    ("obscore export -o view.vot", None),
    ("follow status", None),
    ("tap-schema publish", None),
    ("tap-schema diff", None),
    ("tap-schema generate", None),
    ("tap-schema history", None),
    ("tap-schema lint", "astropy"),
    (f"query parse|{CONE}", None),
    (f"query translate|{CONE}", None),
    (f"query explain|{CONE}", None),
    (f"query run|{CONE}", None),
    (f"query run --format json|{CONE}", None),
    (f"query run --format csv|{CONE}", None),
    (f"query run --format votable|{CONE}", None),
    ("coverage keep ivoa.ObsCore", None),
    ("coverage fold", None),
    ("journal keep ivoa.ObsCore", None),
    ("journal list ivoa.ObsCore", None),
    ("watch --once|SELECT obs_id FROM ivoa.ObsCore", None),
    ("presence summary", None),
    ("coverage last-night", None),
    ("coverage export -o moc.fits", "coverage"),
    ("coverage plot growth -o growth.png", "coverage"),
    ("caom2 publish ivoa.ObsCore", None),
    ("caom2 export -o caom.zip", "caom"),
    ("obsplan update", None),
    ("log last-night", None),
    ("ppdb create", "replication"),
    ("ppdb install", None),
    ("ppdb check", None),
    ("ppdb snapshot", None),
    ("ppdb lake export lake", "lake"),
    ("task check nowhere.yaml nowhere", "tasks"),
    ("provenance show {did}", None),
    ("recreate {did}", None),
    ("ppdb replicate --once nowhere.yaml", "replication"),
    ("queue status", None),
    ("serve --host 192.0.2.1", "serve"),
    (f"replay capture --record record.json|{FORCED}", None),
    ("replay run record.json --format csv", None),
    (f"replay capture --format votable -o result.vot|{FORCED}", None),
    ("replay run result.vot", None),
    ("ppdb verify", None),
    ("ppdb replace DiaForcedSource empty.parquet", "export"),
    ("ephemeral -- true", "ephemeral"),
    ("obscore drop --all", None),
    ("ppdb uninstall --discard-history", None),
    ("sql apply --dry-run functions/tapdb.mjd_tai", None),
)
"""Commands in the order in which they are run, and the extra that each needs; `|` stands before a query."""

OF_EXTRAS = (
    *(
        "astropy",
        "caom2",
        "felis",
        "lsst",
        "matplotlib",
        "mirakuru",
        "mocpy",
        "numpy",
        "psycopg2",
        "pyarrow",
        "pytest",
    ),
    *("httptools", "prometheus_client", "starlette", "uvicorn", "uvloop"),
)
NEEDED = {
    "export": ["pyarrow"],
    "coverage": ["matplotlib", "mocpy"],
    "caom": ["caom2", "lxml"],
    "astropy": ["astropy"],
    "lake": [
        "astropy",
        "pyarrow",
        "cdshealpix",
        "duckdb",
        "duckdb-extension-ducklake",
        "duckdb-extension-httpfs",
        "duckdb-extension-postgres-scanner",
        "sqlglot",
    ],
    "tasks": [
        "astropy",
        "pyarrow",
        "lsst-ctrl-mpexec",
        "lsst-daf-butler",
        "lsst-pex-config",
        "lsst-pipe-base",
        "lsst-resources",
    ],
    "replication": ["astropy", "lsst-dax-apdb", "lsst-sdm-schemas", "psycopg2-binary"],
    "ephemeral": ["pytest", "pytest-postgresql"],
    "serve": [
        "astropy",
        "pyarrow",
        "httptools",
        "jinja2",
        "prometheus-client",
        "python-multipart",
        "starlette",
        "uvicorn",
        "uvloop",
    ],
}
"""What an index of packages calls what each extra installs."""
# What fails with the extra too, for a reason of its own.
FAILING = {
    "ppdb replicate --once nowhere.yaml",
    "ppdb replace DiaForcedSource empty.parquet",
    "task check nowhere.yaml nowhere",
    # Nothing was loaded.
    "provenance show {did}",
    "recreate {did}",
    # There is no ConsDB.
    "log last-night",
    # No view says what is stored.
    "presence summary",
    # No address of the machine.
    "serve --host 192.0.2.1",
}


@pytest.fixture(scope="module")
def repository(
    clone_for_session: Callable[[str], sa.URL],
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> sa.URL:
    """Return a database with the example's repository; connect to it never."""
    url = clone_for_session(template_database)
    add_repository(url, tmp_path_factory.mktemp("repository"))
    return url


def words(step: str) -> list[str]:
    options, _, query = step.partition("|")
    return [*options.split(), *([query] if query else [])]


def test_the_site_is_in_a_wheel_that_is_built_after_it(installation: Installation, tmp_path: Path) -> None:
    code = (
        "from services.documentation import FOLDER; print(FOLDER / 'index.html', FOLDER / '_static/site.css')"
    )
    done = installation.run("python", "-c", code, cwd=tmp_path)
    found = [Path(one) for one in done.stdout.split()]
    assert [one.is_file() for one in found] == [True, True], done.stderr
    assert all(one.is_relative_to(installation.folder) for one in found)


def test_what_is_imported_is_the_wheel(installation: Installation, tmp_path: Path) -> None:
    program = (
        "import json, adql, obscore_view, ppdb_replay, prompt_products, tap_schema, tapdb\n"
        "import tapdb_migrations, tapdb_sql\n"
        "from alembic.script import ScriptDirectory\n"
        "from tapdb.migrate.run import alembic_config\n"
        "found = [m.__file__ for m in (adql, obscore_view, ppdb_replay, prompt_products, tap_schema, tapdb, "
        "tapdb_migrations, tapdb_sql)]\n"
        "print(json.dumps([*found, ScriptDirectory.from_config(alembic_config()).dir]))"
    )
    done = installation.run("python", "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [file for file in json.loads(done.stdout) if not file.startswith(str(installation.folder))] == []


def test_the_main_use_of_every_command(
    installation: Installation,
    repository: sa.URL,
    clone_database: Callable[[str], sa.URL],
    tmp_path: Path,
) -> None:
    url = clone_database(str(repository.database))
    environment = client_environment(url)
    (tmp_path / "obscore.yaml").write_text(OBSCORE_CONFIG.read_text())
    (tmp_path / "empty.parquet").touch()
    with (
        replace(installation, plain=True).commands(cwd=tmp_path, environment=environment) as run_plain,
        installation.commands(cwd=tmp_path, environment=environment) as run,
    ):
        for step, extra in STEPS:
            arguments = words(step.replace("{did}", _some_did(url) if "{did}" in step else ""))
            done = run_plain(arguments)
            if extra is not None:
                missing = ", ".join(name for name in NEEDED[extra])
                refused = (
                    f": needs {missing}, not installed here; pip install 'tapdb[{extra}]'" in done.stderr
                )
                assert (done.exit_code, refused, done.bug) == (2, True, None), (step, done)
                done = run(arguments)
            assert (done.exit_code == 0, done.bug) == (step not in FAILING, None), (step, done)
            if step == "ppdb install":
                with checked_connection(url) as connection:
                    connection.exec_driver_sql(SOURCE)
                    connection.commit()


def test_alembic_works_with_the_file_that_migrate_init_writes(
    installation: Installation, database_url: sa.URL, tmp_path: Path
) -> None:
    assert installation.run("tapdb", "migrate", "init", cwd=tmp_path).returncode == 0
    for text in ("-x obscore=off upgrade head", "check", "-x obscore=off downgrade base"):
        done = installation.run(
            *("python", "-m", "alembic", *text.split()),
            cwd=tmp_path,
            environment=client_environment(database_url),
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [("revision", "-m", "x"), ("merge", "-m", "x", "heads")])
@pytest.mark.parametrize("ini", ["that of migrate init", "one with no more than the folder"])
def test_alembic_writes_no_revision_into_an_installed_package(
    installation: Installation, tmp_path: Path, arguments: tuple[str, ...], ini: str
) -> None:
    if ini == "that of migrate init":
        assert installation.run("tapdb", "migrate", "init", cwd=tmp_path).returncode == 0
    else:
        (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = tapdb_migrations:.\n")
    (packages,) = installation.folder.glob("lib/python*/site-packages")
    files = {path for path in packages.rglob("*") if path.suffix != ".pyc"}
    done = installation.run("python", "-m", "alembic", *arguments, cwd=tmp_path)
    assert done.returncode != 0
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("FAILED: ")]
    assert line.startswith(
        "FAILED: revisions are written in a clone of tapdb, not in the installed package /"
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert {path for path in packages.rglob("*") if path.suffix not in {".pyc", ""}} <= files


def test_alembic_of_the_clone_writes_the_revision_that_an_installed_package_refuses(
    alembic: RunAlembic, database_url: sa.URL, tmp_path: Path
) -> None:
    for name in ("alembic.ini", "migrations"):
        subprocess.run(["cp", "-r", PROJECT / name, tmp_path], check=True)
    before = set((tmp_path / "migrations" / "versions").glob("*.py"))
    done = alembic(database_url, "revision", "-m", "More.", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (written,) = set((tmp_path / "migrations" / "versions").glob("*.py")) - before
    assert written.read_text().startswith('"""More.\n')


def _some_did(url: sa.URL) -> str:
    with checked_connection(url) as connection:
        found = connection.exec_driver_sql("SELECT obs_publisher_did FROM ivoa.obscore LIMIT 1").scalar_one()
    return str(found)


def test_every_group_of_commands_is_used() -> None:
    used = {step.split()[0] for step, _ in STEPS}
    assert isinstance(main, Group)
    assert used == set(main.list_commands(main.make_context("tapdb", [], resilient_parsing=True)))


def test_a_plain_installation_has_nothing_that_extras_install(
    installation: Installation, tmp_path: Path
) -> None:
    program = (
        f"from importlib.util import find_spec\nprint(*(name for name in {OF_EXTRAS} if find_spec(name)))"
    )
    plain = replace(installation, plain=True).run("python", "-c", program, cwd=tmp_path)
    assert (plain.returncode, plain.stdout) == (0, "\n"), plain.stderr
    assert installation.run("python", "-c", program, cwd=tmp_path).stdout.split() == list(OF_EXTRAS)
