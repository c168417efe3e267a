"""``tapdb migrate``: what ``alembic`` does in a clone, with the same findings, from the package alone."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from click.testing import CliRunner, Result

from tapdb.cli.root import main
from tapdb.migrate.run import alembic_config
from tapdb.postgres.catalog import Catalog, describe, diff
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment
from tapdb.sources import execute_text
from tests.plugins.migration_fixtures import HEAD, PROJECT, RunAlembic, RunProcess

OFF = ("-x", "obscore=off")
BY_HAND = "ALTER FUNCTION tapdb.s_region(text) COST 7; ALTER TABLE tapdb.view_definition ADD more int"

Migrate = Callable[..., Result]


@pytest.fixture
def migrate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Migrate:
    """Return a function that runs ``tapdb migrate`` on a database, in a folder that holds nothing of ours."""
    monkeypatch.chdir(tmp_path)

    def run(url: sa.URL | None, *arguments: str) -> Result:
        environment = client_environment(url) if url is not None else {}
        return CliRunner().invoke(main, ["migrate", *arguments], env=environment)

    return run


def catalog_of(url: sa.URL) -> Catalog:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = describe(connection)
    engine.dispose()
    return found


def change(url: sa.URL, text: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        execute_text(connection, text)
    engine.dispose()


def test_upgrade_and_downgrade_do_what_alembic_does(
    database_url: sa.URL, migrated_database: sa.URL, migrate: Migrate, alembic: RunAlembic
) -> None:
    before = catalog_of(database_url)
    done = migrate(database_url, "upgrade", *OFF)
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert "INFO alembic.runtime.migration: Running upgrade  -> 0001" in done.stderr
    assert diff(catalog_of(database_url), catalog_of(migrated_database)) == ()
    assert (
        migrate(database_url, "current").stdout
        == alembic(database_url, "current").stdout
        == f"{HEAD} (head)\n"
    )
    assert migrate(database_url, "downgrade", "base", *OFF).exit_code == 0
    assert diff(before, catalog_of(database_url)) == ()


def test_a_revision_can_be_counted_from_where_the_database_is(
    migrated_database: sa.URL, migrate: Migrate
) -> None:
    before = ScriptDirectory.from_config(alembic_config()).get_revision("head").down_revision
    done = migrate(migrated_database, "downgrade", "-1", *OFF)
    assert done.exit_code == 0, done.output
    assert migrate(migrated_database, "current").stdout == f"{before}\n"
    assert migrate(migrated_database, "upgrade", "+1", *OFF).exit_code == 0
    assert migrate(migrated_database, "current").stdout == f"{HEAD} (head)\n"


def test_the_database_is_the_one_of_the_option_before_the_environments(
    migrated_database: sa.URL, database_url: sa.URL, migrate: Migrate
) -> None:
    url = migrated_database.render_as_string(hide_password=False)
    assert migrate(database_url, "current", "--url", url).stdout == f"{HEAD} (head)\n"
    assert migrate(database_url, "check", "--url", url).exit_code == 0
    assert migrate(database_url, "current").stdout == ""


def test_current_says_on_standard_error_that_a_database_was_never_migrated(
    database_url: sa.URL, migrate: Migrate, alembic: RunAlembic
) -> None:
    ours, theirs = migrate(database_url, "current"), alembic(database_url, "current")
    assert (ours.exit_code, ours.stdout, theirs.returncode, theirs.stdout) == (0, "", 0, "")
    for said in (ours.stderr, theirs.stderr):
        assert "the database has no revision: it was never migrated, or downgraded to base" in said


COMMANDS = (
    ("upgrade",),
    ("upgrade", HEAD),
    ("upgrade", "--dry-run"),
    ("downgrade", "base"),
    ("downgrade", "-1"),
    ("downgrade", "base", "--dry-run"),
    ("check",),
    ("current",),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_database_of_a_newer_release_is_said_to_be_that_and_stays_as_it_is(
    migrated_database: sa.URL, migrate: Migrate, alembic: RunAlembic, arguments: tuple[str, ...]
) -> None:
    change(migrated_database, "UPDATE tapdb.alembic_version SET version_num = 'newer'")
    before = catalog_of(migrated_database)
    done = migrate(migrated_database, *arguments, *OFF)
    assert (done.exit_code, done.stdout) == (1, "newer\n" if arguments == ("current",) else "")
    said = done.stderr.partition("Error: ")[2]
    assert said.startswith("the database is at revision newer, which this release of tapdb (")
    assert "Install that release" in said
    assert "history" not in said
    assert "migrate upgrade" not in said
    if "--dry-run" not in arguments:
        words = ("upgrade", "head") if arguments == ("upgrade",) else arguments
        theirs = alembic(migrated_database, *OFF, *words)
        assert (theirs.returncode, theirs.stdout) == (1, done.stdout)
        assert theirs.stderr.partition("Error: ")[2] == said
    assert diff(before, catalog_of(migrated_database)) == ()


def test_a_stamp_that_purges_leads_out_of_an_unknown_revision(
    migrated_database: sa.URL, migrate: Migrate, alembic: RunAlembic
) -> None:
    change(migrated_database, "UPDATE tapdb.alembic_version SET version_num = 'newer'")
    assert alembic(migrated_database, "stamp", "head").returncode == 1
    assert alembic(migrated_database, "stamp", "--purge", "head").returncode == 0
    assert migrate(migrated_database, "current").stdout == f"{HEAD} (head)\n"


@pytest.mark.parametrize(
    "arguments", [("base",), ("base:base",), ("0001:0001",), ("head:head",), (f"{HEAD}:head",)], ids=" ".join
)
def test_a_script_without_a_revision_is_none_and_says_so(
    migrate: Migrate, alembic: RunAlembic, database_url: sa.URL, arguments: tuple[str, ...]
) -> None:
    done = migrate(None, "sql", *arguments)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "nothing to do: no revision has to be run" in done.stderr
    whole = arguments[0] if ":" in arguments[0] else "base:base"
    theirs = alembic(database_url, "upgrade", whole, "--sql")
    assert (theirs.returncode, theirs.stdout) == (0, "")
    assert "nothing to do: no revision has to be run" in theirs.stderr


@pytest.mark.parametrize("action", [("upgrade",), ("downgrade", HEAD)], ids=" ".join)
def test_a_dry_run_where_the_database_is_says_that_there_is_nothing_to_do(
    migrated_database: sa.URL, migrate: Migrate, action: tuple[str, ...]
) -> None:
    done = migrate(migrated_database, *action, "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "nothing to do: no revision has to be run" in done.stderr


def test_check_finds_what_alembic_finds(
    migrated_database: sa.URL, migrate: Migrate, alembic: RunAlembic
) -> None:
    same = migrate(migrated_database, "check")
    assert (same.exit_code, same.stdout) == (0, "No new upgrade operations detected.\n"), same.output
    change(migrated_database, BY_HAND)
    ours, theirs = migrate(migrated_database, "check"), alembic(migrated_database, "check")
    assert (ours.exit_code, theirs.returncode) == (1, 1)
    found = [line for line in theirs.stderr.splitlines() if line.startswith("  ")]
    assert "  table tapdb.view_definition: column more: 13 integer -> nothing" in found
    assert [line for line in ours.stderr.splitlines() if line.startswith("  ")] == found


def test_check_of_a_database_that_is_behind_says_what_to_run(database_url: sa.URL, migrate: Migrate) -> None:
    before = catalog_of(database_url)
    done = migrate(database_url, "check")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-2:] == [
        f"Error: the database is not migrated; the newest revision is {HEAD}",
        "Run tapdb migrate upgrade.",
    ]
    assert catalog_of(database_url) == before


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("sql",), ("upgrade", "head")),
        (("sql", "head:base"), ("downgrade", "head:base")),
        (("sql", "--lock-timeout-ms", "7"), ("-x", "lock_timeout_ms=7", "upgrade", "head")),
    ],
)
def test_a_script_is_that_of_alembic_and_needs_no_database(
    migrate: Migrate, alembic: RunAlembic, ours: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    nowhere = sa.URL.create("postgresql+psycopg", "nobody", host="127.0.0.1", port=1, database="none")
    script = migrate(nowhere, *ours, *OFF)
    assert script.exit_code == 0, script.stderr
    assert script.stdout == alembic(nowhere, *OFF, *theirs, "--sql").stdout
    assert "COMMIT;" in script.stdout


def test_a_dry_run_prints_what_is_left_to_do_and_changes_nothing(
    database_url: sa.URL, migrated_database: sa.URL, migrate: Migrate
) -> None:
    before = catalog_of(database_url)
    assert migrate(database_url, "upgrade", "--dry-run", *OFF).stdout == migrate(None, "sql", *OFF).stdout
    assert catalog_of(database_url) == before
    down = migrate(migrated_database, "downgrade", "base", "--dry-run", *OFF).stdout
    assert down == migrate(None, "sql", f"{HEAD}:base", *OFF).stdout
    assert "-- drop tables/tapdb.view_definition version 1" in down
    assert migrate(migrated_database, "current").stdout == f"{HEAD} (head)\n"


def test_a_view_is_made_from_the_configuration_that_the_options_name(
    butler_database: sa.URL, migrate: Migrate, tmp_path: Path
) -> None:
    (tmp_path / "view.yaml").write_text((PROJECT / "examples/lsstcam/obscore.yaml").read_text())
    unclear = migrate(butler_database, "upgrade", "-c", "view.yaml")
    assert unclear.exit_code == 1
    assert "Choose one by --registry-schema or TAPDB_REGISTRY_SCHEMA." in unclear.stderr
    done = migrate(butler_database, "upgrade", "-c", "view.yaml", "--registry-schema", "plain")
    assert done.exit_code == 0, done.stderr
    assert "relation ivoa.obscore" not in migrate(butler_database, "check").output
    engine = create_engine(butler_database)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM ivoa.obscore").scalar_one() > 0
    engine.dispose()


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("obscore_confg=x", '-x obscore_confg: is no option of a migration; did you mean "obscore_config"?'),
        ("ppdbschema=current", 'did you mean "ppdb_schema"?'),
        ("registry", 'did you mean "registry_schema"?'),
        ("obscore=of", "-x obscore: is 'of'; obscore=off leaves the objects of obscore alone"),
        ("obscore", "-x obscore: has no value; obscore=off leaves the objects of obscore alone"),
        ("qqq=1", "-x qqq: is no option of a migration; known: comment, coverage, geometry, "),
    ],
)
def test_an_option_that_nobody_knows_is_refused_with_the_one_that_was_meant(
    database_url: sa.URL, migrate: Migrate, alembic: RunAlembic, option: str, problem: str
) -> None:
    before = catalog_of(database_url)
    ours = migrate(database_url, "upgrade", "-x", option)
    theirs = alembic(database_url, "-x", option, "upgrade", "head")
    assert (ours.exit_code, theirs.returncode) == (2, 2)
    assert problem in ours.stderr
    assert problem in theirs.stderr
    assert catalog_of(database_url) == before


def test_an_option_that_is_given_twice_has_one_value(
    database_url: sa.URL, migrate: Migrate, alembic: RunAlembic
) -> None:
    before = catalog_of(database_url)
    pairs = {
        "--url": ("url", "dbname=not-to-be-shown", "dbname=nor-this"),
        "--registry-schema": ("registry_schema", "a", "b"),
        "--obscore-config": ("obscore_config", "a.yaml", "b.yaml"),
        "--lock-timeout-ms": ("lock_timeout_ms", "1", "2"),
    }
    for option, (name, first, second) in pairs.items():
        done = migrate(database_url, "upgrade", option, first, "-x", f"{name}={second}")
        expected = f"Error: {option} and -x {name}: two values that differ; give one of them\n"
        assert (done.exit_code, done.stderr) == (2, expected)
        twice = ("-x", f"{name}={first}", "-x", f"{name}={second}")
        expected = f"Error: -x {name}: two values that differ; give one of them\n"
        assert migrate(database_url, "upgrade", *twice).stderr == expected
        theirs = alembic(database_url, *twice, "upgrade", "head")
        assert (theirs.returncode, expected in theirs.stderr) == (2, True), theirs.stderr
        assert "not-to-be-shown" not in theirs.stderr
    assert catalog_of(database_url) == before
    # What is said twice and means the same is no contradiction.
    same = ("--lock-timeout-ms", "1000", "-x", "lock_timeout_ms=1000", *OFF, *OFF)
    done = migrate(database_url, "upgrade", *same)
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("curent", "-x ppdb_schema: is 'curent', and there is no such file; did you mean \"current\"?"),
        ("qqq", "-x ppdb_schema: is 'qqq', and there is no such file; write current, timestamps, or a Felis"),
        ("bad.yaml", "Felis schema bad.yaml: line 1: the schema has no name"),
        ("resource://nosuch/x.yaml", "Felis schema resource://nosuch/x.yaml: "),
    ],
)
@pytest.mark.parametrize("action", [("upgrade",), ("downgrade", "base"), ("sql",)], ids=" ".join)
def test_a_schema_of_the_ppdb_that_cannot_be_used_is_refused_before_anything_is_done(
    migrated_database: sa.URL,
    migrate: Migrate,
    tmp_path: Path,
    value: str,
    problem: str,
    action: tuple[str, ...],
) -> None:
    (tmp_path / "bad.yaml").write_text("tables: 3\n")
    done = migrate(migrated_database, *action, *OFF, "-x", f"ppdb_schema={value}")
    assert (done.exit_code, done.stdout) == (2, "")
    said = done.stderr.partition("Error: ")[2]
    assert said.startswith(problem)
    assert said.count(value) == 1
    assert "derived objects" not in done.stderr
    assert "Running" not in done.stderr


@pytest.mark.usefixtures("derived_package")
def test_an_option_that_another_package_reads_is_known(database_url: sa.URL, migrate: Migrate) -> None:
    done = migrate(database_url, "upgrade", *OFF, "-x", "seen=off", "-x", "is_current=no")
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ("upgrade", "9999", *OFF),
            "Error: REVISION: Can't locate revision identified by '9999'; 'tapdb migrate",
        ),
        (("upgrade", ""), "Error: REVISION: '' names no revision; 'tapdb migrate history' lists them"),
        (("downgrade", ""), "Error: REVISION: '' names no revision"),
        (("sql", "head:"), "Error: REVISIONS: 'head:' names no revision"),
        (("sql", ":"), "':' names no revision"),
        (("sql", "base:9999"), "Can't locate revision identified by '9999'"),
        (("downgrade", "--dryrun"), "No such option '--dryrun'. Did you mean '--dry-run'?"),
        (("upgrade", "--schema", "butler"), "No such option '--schema'. Did you mean '--registry-schema'?"),
        (("upgrade", "head", "--schema=butler"), "No such option '--schema'."),
        (("downgrade", "-1", "-z"), "No such option '-z'."),
        (("upgrade", "--lock-timeout-ms", "-5"), "--lock-timeout-ms: is '-5'"),
        (("upgrade", "--lock-timeout-ms", "soon"), "--lock-timeout-ms: is 'soon'; write a whole number"),
    ],
)
def test_what_cannot_be_used_is_one_message_and_exit_2(
    database_url: sa.URL, migrate: Migrate, arguments: tuple[str, ...], problem: str
) -> None:
    done = migrate(database_url, *arguments)
    assert done.exit_code == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_database_refuses_is_one_message(migrated_database: sa.URL, migrate: Migrate) -> None:
    change(migrated_database, "CREATE TABLE ivoa.mine (x int)")
    done = migrate(migrated_database, "downgrade", "base", *OFF)
    assert done.exit_code == 1
    assert "cannot drop schema ivoa because other objects depend on it" in done.stderr
    nowhere = migrated_database.set(port=1, password="not-to-be-shown")
    for command in ("upgrade", "check", "current"):
        done = migrate(nowhere, command)
        assert (done.exit_code, "cannot use database" in done.stderr) == (1, True), done.stderr
        assert "not-to-be-shown" not in done.output


def test_progress_is_shown_unless_the_user_has_chosen_a_level(
    migrated_database: sa.URL, migrate: Migrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = logging.getLogger("tapdb").level
    assert "INFO tapdb.hooks.derived" in migrate(migrated_database, "upgrade", *OFF).stderr
    assert logging.getLogger("tapdb").level == before
    monkeypatch.setenv("TAPDB_LOG_LEVEL", "warning")
    assert migrate(migrated_database, "upgrade", *OFF).stderr == ""


def test_history_lists_what_alembic_lists(
    migrate: Migrate, alembic: RunAlembic, database_url: sa.URL
) -> None:
    assert migrate(None, "history").stdout == alembic(database_url, "history").stdout


def test_init_writes_a_file_once_with_which_alembic_works_anywhere(
    database_url: sa.URL, migrate: Migrate, alembic: RunAlembic, tmp_path: Path
) -> None:
    done = migrate(None, "init", "here")
    assert (done.exit_code, done.stderr) == (0, "Wrote here/alembic.ini\n")
    folder = tmp_path / "here"
    for arguments in ((*OFF, "upgrade", "head"), ("check",), (*OFF, "downgrade", "base")):
        ran = alembic(database_url, *arguments, folder=folder)
        assert ran.returncode == 0, ran.stderr
        assert "INFO alembic.runtime.migration: Context impl PostgresqlImpl." in ran.stderr
    (folder / "alembic.ini").write_text("[alembic]\n")
    again = migrate(None, "init", "here")
    assert (again.exit_code, "here/alembic.ini is there already; --force" in again.stderr) == (2, True)
    assert (folder / "alembic.ini").read_text() == "[alembic]\n"
    assert migrate(None, "init", "here", "--force").exit_code == 0
    assert (folder / "alembic.ini").read_text() == (PROJECT / "migrations" / "alembic.ini").read_text()


def test_init_where_nothing_can_be_written_is_one_message(migrate: Migrate, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = migrate(None, "init", "file/below")
    assert done.exit_code != 0
    assert "Traceback" not in done.output
    assert "file/below/alembic.ini" in done.stderr


LOGGING = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = mine: %(message)s
"""


@pytest.mark.parametrize(
    ("sections", "expected"),
    [("", "INFO alembic.runtime"), ("[loggers]\nkeys = root\n", "INFO alembic.runtime"), (LOGGING, "mine: ")],
    ids=["none", "half", "all"],
)
def test_an_ini_of_ones_own_may_say_how_to_log_and_need_not(
    migrated_database: sa.URL, tmp_path: Path, sections: str, expected: str
) -> None:
    (tmp_path / "own.ini").write_text(f"[alembic]\nscript_location = tapdb_migrations:.\n{sections}")
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "own.ini", "current"],
        cwd=tmp_path,
        env=client_environment(migrated_database),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{HEAD} (head)\n"), done.stderr
    assert done.stderr.startswith(expected)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("class = StreamHandler", "class = Nothing", "No module named 'Nothing'"),
        ("level = INFO", "level = LOUD", "Unknown level: 'LOUD'"),
        ("[formatter_plain]", "[plain]", "formatter_plain"),
        ("(sys.stderr,)", "(sys.stderr", "was never closed"),
        ("(sys.stderr,)", "(sys.nothing,)", "no attribute 'nothing'"),
        ("handlers = console", "", "handlers"),
    ],
)
def test_logging_in_an_ini_file_that_cannot_be_used_is_one_message(
    database_url: sa.URL, tmp_path: Path, before: str, after: str, problem: str
) -> None:
    assert before in LOGGING
    text = LOGGING.replace(before, after)
    (tmp_path / "own.ini").write_text(f"[alembic]\nscript_location = tapdb_migrations:.\n{text}")
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "own.ini", "current"],
        cwd=tmp_path,
        env=client_environment(database_url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: logging in own.ini: cannot be set up: ")
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


NOWHERE = "postgresql://joe:not-to-be-shown@127.0.0.1:1/none"
INI = "[alembic]\nscript_location = tapdb_migrations:.\nsqlalchemy.url = {}\n"


@pytest.fixture
def run_ini(run_alembic: RunProcess) -> RunAlembic:
    """Return a function that runs alembic with an ini file that names a database, and no environment does."""

    def run(url: str, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (folder / "own.ini").write_text(INI.format(url))
        named = ("PG", "TAPDB_", "DATABASE_URL")
        others = {name: value for name, value in os.environ.items() if not name.startswith(named)}
        return run_alembic(["-c", "own.ini", *arguments, "current"], folder, others | environment)

    return run


def test_the_url_in_an_ini_file_counts_if_nothing_else_names_a_database(
    migrated_database: sa.URL, run_ini: RunAlembic, tmp_path: Path
) -> None:
    plain = migrated_database.render_as_string(hide_password=False).replace("+psycopg", "")
    done = run_ini(plain.replace("%", "%%"), tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{HEAD} (head)\n"), done.stderr
    assert "is not used" not in done.stderr
    # Who logs in is not where: the URL is used, and completed.
    user, password = str(migrated_database.username), str(migrated_database.password)
    address = plain[: plain.index("//") + 2] + plain[plain.index("@") + 1 :]
    done = run_ini(address.replace("%", "%%"), tmp_path, PGUSER=user, PGPASSWORD=password)
    assert (done.returncode, done.stdout) == (0, f"{HEAD} (head)\n"), done.stderr


@pytest.mark.parametrize("by", ["-x url=", "TAPDB_URL", "DATABASE_URL", "PG*"])
def test_every_option_and_variable_goes_before_the_url_in_an_ini_file_and_the_log_says_so(
    migrated_database: sa.URL, run_ini: RunAlembic, tmp_path: Path, by: str
) -> None:
    url = migrated_database.render_as_string(hide_password=False)
    variables = client_environment(migrated_database)
    variables.pop("DATABASE_URL")
    if by == "-x url=":
        done = run_ini(NOWHERE, tmp_path, "-x", f"url={url}")
    else:
        done = run_ini(NOWHERE, tmp_path, **(variables if by == "PG*" else {by: url}))
    assert (done.returncode, done.stdout) == (0, f"{HEAD} (head)\n"), done.stderr
    assert "sqlalchemy.url in own.ini is not used: an option or the environment names the" in done.stderr
    assert "not-to-be-shown" not in done.stderr


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (NOWHERE, 'cannot use database "none" on 127.0.0.1:1 as user "joe"'),
        (
            NOWHERE.replace("-to", "%40to"),
            "sqlalchemy.url in own.ini: has a % that does not stand for itself",
        ),
        (NOWHERE.replace("-to", "%(to)s"), "write %% for each %"),
        (NOWHERE.replace("postgresql", "driver"), "sqlalchemy.url in own.ini: is a driver URL"),
        (NOWHERE.replace(":1/", ":port/"), "sqlalchemy.url in own.ini: "),
    ],
)
def test_a_url_in_an_ini_file_that_cannot_be_used_is_one_message_without_its_password(
    run_ini: RunAlembic, tmp_path: Path, url: str, problem: str
) -> None:
    done = run_ini(url, tmp_path)
    assert done.returncode in {1, 2}
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(part in done.stderr for part in ("not-to", "be-shown"))


def test_tapdb_migrate_reads_no_ini_file(
    migrated_database: sa.URL, database_url: sa.URL, migrate: Migrate, tmp_path: Path
) -> None:
    url = database_url.render_as_string(hide_password=False).replace("%", "%%")
    (tmp_path / "alembic.ini").write_text(INI.format(url))
    assert migrate(migrated_database, "current").stdout == f"{HEAD} (head)\n"
