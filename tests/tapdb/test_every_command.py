"""Every command of ``tapdb``, run by people who may not do what it does, and without a database.

The commands are found by walking from the entry points: a new one fails here until it has arguments below.
"""

from __future__ import annotations

import gc
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from examples.apdb import make_apdb
from examples.images import ImageSurvey, make_image_repository
from examples.lsstcam import Pair
from examples.programs import SOURCES as SOURCES_OF_IMAGES
from external_code.description import pipeline_text, read_description
from obscore_view import parse_config, refresh_view
from obscore_view.view.make import find_stored_view
from obscore_view.view.store import read_stored_views
from ppdb_replay import capture
from ppdb_replay.lake.export import export_lake
from ppdb_replay.replication import service
from ppdb_replay.tables import read_schema, with_system_columns
from ppdb_replay.versions.install import create_tables, install
from prompt_products.caom.caom_views import CAOM
from prompt_products.coverage.keeping import keep, rebuild
from prompt_products.journal.entries import keep as keep_journal
from prompt_products.observing_log.log_views import publish_log
from prompt_products.over_obscore import publish
from tapdb.cli.root import main
from tapdb.hooks.derived import create_last
from tapdb.postgres.engine import checked_connection
from tapdb.sources import execute_text
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, open_engine, view_config_text

SECRET = "not-to-be-shown"  # noqa: S105  of logins that the test makes
LOGINS = ("every_command_stranger", "every_command_reader")
UUID = "00000000-0000-0000-0000-000000000000"
DATASET = "00000000-0000-0000-0000-000000000001"
LINEAGE = f"""
INSERT INTO tapdb.provenance_run VALUES ('u/somebody/run', 'demo', 'run_provenance', true, '0');
INSERT INTO tapdb.provenance_quantum VALUES ('{UUID}', 'u/somebody/run', 'task', '{{}}', 'success', NULL);
INSERT INTO tapdb.provenance_dataset VALUES ('{DATASET}', 'u/somebody/run', 'raw', '{{}}', true, NULL);
INSERT INTO tapdb.provenance_edge VALUES ('{UUID}', '{DATASET}', false);
"""  # noqa: S608 - our own texts
"""A dataset whose provenance was loaded."""

CONSDB = """
CREATE SCHEMA cdb_lsstcam;
CREATE TABLE cdb_lsstcam.exposure
  (exposure_id bigint, day_obs integer, seq_num integer, obs_start_mjd float8);
INSERT INTO cdb_lsstcam.exposure VALUES (1, 20260301, 1, 61100);
GRANT USAGE ON SCHEMA cdb_lsstcam TO tapdb_owner;
GRANT SELECT ON cdb_lsstcam.exposure TO tapdb_owner;
"""
"""An exposure of ConsDB."""

DATED = VIEWS_OVER_PLAIN["none"]
"""The view that says when datasets are public, and what is stored of them."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "caom2 drop": (),
    "caom2 export": ("-o", "{folder}/caom.zip"),
    "caom2 publish": ("ivoa.obscore",),
    "coverage drop": ("ivoa.obscore",),
    "coverage export": ("-o", "{folder}/moc.fits"),
    "coverage fold": (),
    "coverage keep": ("ivoa.obscore",),
    "coverage last-night": (),
    "coverage plot": ("growth", "-o", "{folder}/growth.png"),
    "coverage rebuild": (),
    "extensions check": (),
    "extensions install": (),
    "follow add": ("plain", "--primary", "postgresql://127.0.0.1:1/none", "-c", "{config}"),
    "follow init": (),
    "follow rebuild": ("plain",),
    "follow remove": ("plain",),
    "follow status": (),
    "log drop": (),
    "log last-night": (),
    "log publish": ("ivoa.obscore",),
    "migrate check": (),
    "migrate current": (),
    "migrate downgrade": ("base",),
    "migrate upgrade": ("-x", "obscore=off"),
    "obscore check": (),
    "obscore create": ("-c", "{config}", "--registry-schema", "plain"),
    "obscore combine": ("joint.obscore", "one.obscore", "two.obscore"),
    "obscore drop": ("--all",),
    "obscore export": ("-o", "{folder}/export.csv", "--view", "ivoa.obscore"),
    "obscore fill": (),
    "journal drop": ("ivoa.obscore",),
    "journal keep": ("ivoa.obscore",),
    "journal list": ("ivoa.obscore",),
    "journal prune": (),
    "obscore init": ("--registry-schema", "plain"),
    "obscore mapping": (),
    "obscore plan": ("-c", "{config}", "--registry-schema", "plain"),
    "obscore refresh": ("--view", "ivoa.obscore"),
    "obsplan drop": (),
    "obsplan load": ("{plan}",),
    "obsplan update": ("--registry-schema", "plain"),
    "obscore releases": ("--view", DATED),
    "obscore resolve": (f"butler://demo/{UUID}",),
    "ppdb add-column": ("DiaObject", "extra", "integer"),
    "ppdb check": (),
    "ppdb create": ("--schema", "ppdb"),
    "ppdb drop-column": ("DiaObject", "ra"),
    "ppdb follow add": ("ppdb", "--primary", "postgresql://127.0.0.1:1/none"),
    "ppdb follow rebuild": ("ppdb",),
    "ppdb follow remove": ("ppdb",),
    "ppdb follow status": (),
    "ppdb release remove": (),
    "ppdb release set": ("--hours", "80"),
    "ppdb release status": (),
    "ppdb install": (),
    "ppdb lake export": ("{folder}/lake",),
    "ppdb lake refresh": ("{lake}",),
    "ppdb lake status": ("{lake}",),
    "ppdb replace": ("SSObject", "{parquet}"),
    "ppdb replicate": ("{apdb}", "--once"),
    "ppdb seal": (),
    "ppdb snapshot": (),
    "ppdb uninstall": ("--discard-history",),
    "ppdb verify": (),
    "presence plan": ("--view", DATED),
    "presence summary": ("--view", DATED),
    "provenance load": ("{folder}/nowhere", "u/somebody/run"),
    "provenance show": (DATASET,),
    "query explain": ("SELECT TOP 1 obs_id FROM ivoa.ObsCore",),
    "query run": ("SELECT TOP 1 obs_id FROM ivoa.ObsCore",),
    "query translate": ("SELECT TOP 1 obs_id FROM ivoa.ObsCore",),
    "queue status": (),
    "queue work": ("--no-wait",),
    "recreate": (DATASET,),
    "replay capture": (
        "--record",
        "{folder}/record.json",
        "SELECT TOP 1 diaObjectId FROM DiaObject",
    ),
    "replay cite": ("{record}",),
    "replay collection": ("--title", "Mine"),
    "replay diff": ("{record}",),
    "replay landing": ("{pid}",),
    "replay list": (),
    "replay migrate": (),
    "replay run": ("{record}",),
    "replay verify": ("{record}",),
    "replay verify-all": ("--note",),
    "serve": ("--port", "0"),
    "sql apply": ("functions/tapdb.s_region",),
    "sql check": ("--live",),
    "tap-schema diff": (),
    "tap-schema generate": (),
    "tap-schema history": (),
    "tap-schema lint": (),
    "tap-schema publish": (),
    "tap-schema rollback": (),
    "watch": ("SELECT obs_id FROM ivoa.ObsCore", "--once"),
}
"""Arguments with which each command that uses a database does its main work."""


OFFLINE = frozenset(
    {
        "ephemeral",
        "ppdb lake check",
        "ppdb lake compact",
        "query parse",
        "replay show",
        "sql freeze",
        "sql list",
        "migrate history",
        "migrate init",
        "migrate sql",
        *("task check", "task init", "task run"),
    }
)
"""Commands that use no database that is there already."""

ANYBODY = frozenset({"extensions check", "extensions install", "follow status", "ppdb follow status"})
"""Commands that only look at catalogs, which everybody may; or find that there is nothing to do."""

READERS = frozenset(
    {
        *(
            "caom2 export",
            "coverage export",
            "coverage last-night",
            "coverage plot",
            "log last-night",
            "obscore export",
            "ppdb check",
            "ppdb lake export",
            "ppdb lake refresh",
            "ppdb lake status",
            "ppdb release status",
            "ppdb seal",
            "ppdb snapshot",
            "ppdb verify",
            "watch",
            "provenance show",
            "query explain",
            "query run",
            "query translate",
        ),
        # A query that is stored already is cited by reading.
        *("replay capture", "replay cite", "replay diff", "replay list", "replay run", "replay verify"),
        *("replay landing", "replay migrate", "tap-schema history"),
    }
)
"""Commands that a TAP service may run, as a member of tapdb_reader."""


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every command below a group, as people type it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield " ".join((*path, name))


ALL = tuple(all_commands(main))


@dataclass(frozen=True)
class Everything:
    """A database with all that tapdb makes, logins for it, and files for the commands."""

    url: sa.URL
    stranger: sa.URL
    reader: sa.URL
    files: Mapping[str, str]

    def arguments(self, command: str, folder: Path) -> list[str]:
        """Return what to type after ``tapdb``."""
        rest = (text.format(**self.files, folder=folder) for text in COMMANDS[command])
        return [*command.split(), *rest]


@pytest.fixture(scope="module")
def everything(
    view_template: Pair,
    clone_for_session: Callable[[str], sa.URL],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Everything]:
    """Return a database that no test changes; what the logins may do to it is refused."""
    url = clone_for_session(str(view_template.url.database))
    files = tmp_path_factory.mktemp("every_command")
    with open_engine(url) as engine, engine.begin() as connection:
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
        dated = view_config_text(DATED, geometry="none", embargo_hours=80, presence="{raw: {days: 30}}")
        stored = find_stored_view(connection, DATED)
        refresh_view(connection, stored, parse_config(dated), config_yaml=dated)
        rebuild(connection, keep(connection, "ivoa.obscore"))
        execute_text(connection, LINEAGE + CONSDB)
        publish(connection, CAOM, "ivoa.obscore")
        publish_log(connection, "ivoa.obscore")
        keep_journal(connection, "ivoa.obscore")
        create_last(connection, {})
        for login in LOGINS:
            execute_text(connection, f"CREATE ROLE {login} LOGIN PASSWORD '{SECRET}'")
        execute_text(connection, f"GRANT tapdb_reader TO {LOGINS[1]}")
    survey = make_apdb(url, objects=2, asteroids=1)
    survey.config.save(str(files / "apdb.yaml"))
    survey.apdb._engine.dispose()
    # dax_apdb has made another engine for it, and let go of it.
    gc.collect()
    (files / "config.yaml").write_text(view_config_text("fresh.ObsCore"))
    (files / "plan.csv").write_text("obs_id,facility_name\nnext,Rubin\n")
    pq.write_table(pa.table({"ssObjectId": [1]}), files / "rows.parquet")
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as session:
        record = capture(session, "SELECT diaObjectId FROM DiaObject").record.to_json()
    (files / "record.json").write_text(record)
    cited = CliRunner().invoke(
        main, ["replay", "cite", str(files / "record.json"), "--format", "json", "--url", plain]
    )
    make_image_repository(files / "images", ImageSurvey(epochs=0))
    (files / "pipeline.yaml").write_text(pipeline_text(read_description(SOURCES_OF_IMAGES)))
    with checked_connection(url) as connection:
        export_lake(connection, files / "lake")
    names = {"config": "config.yaml", "parquet": "rows.parquet", "record": "record.json", "apdb": "apdb.yaml"}
    names |= {"pipeline": "pipeline.yaml", "butler": "images", "lake": "lake", "plan": "plan.csv"}
    stranger, reader = (url.set(username=login, password=SECRET) for login in LOGINS)
    paths = {key: str(files / name) for key, name in names.items()}
    yield Everything(url, stranger, reader, {**paths, "pid": json.loads(cited.stdout)["identifier"]})
    with open_engine(url) as engine, engine.begin() as connection:
        for login in LOGINS:
            execute_text(connection, f"DROP ROLE {login}")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `ppdb replicate --once` make its five attempts within a second, not within fifteen."""
    monkeypatch.setattr(service, "_FIRST_PAUSE_S", 0.01)


def run(everything: Everything, url: sa.URL, command: str, folder: Path) -> Result:
    """Run a command as the user of a URL, with nothing else in the environment that names a database."""
    environment = {"TAPDB_URL": url.render_as_string(hide_password=False), "DATABASE_URL": None}
    return CliRunner(env=environment).invoke(main, everything.arguments(command, folder))


def complaint(result: Result) -> str:
    """Return the one message of a command that failed as it should; fail if it has failed otherwise."""
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in {1, 2}, result.output
    assert result.stderr.count("Error: ") == 1, result.output
    assert "Usage: " not in result.stderr
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    return result.stderr.partition("Error: ")[2]


def test_every_command_has_arguments_here() -> None:
    assert set(ALL) == COMMANDS.keys() | OFFLINE


def test_the_search_for_complaints_sees_an_error_that_nobody_expected() -> None:
    @click.command()
    def broken() -> None:
        raise LookupError("nobody expected this")

    with pytest.raises(AssertionError, match="nobody expected this"):
        complaint(CliRunner().invoke(broken))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_role_without_rights_is_told_so_in_one_message(
    everything: Everything, command: str, tmp_path: Path
) -> None:
    result = run(everything, everything.stranger, command, tmp_path)
    if command in ANYBODY:
        assert result.exit_code == 0, result.output
    else:
        message = complaint(result)
        assert re.search("lacks (a )?right|permission denied", message)
        assert "Fill tap_schema" not in message


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reader_reads_what_is_published_and_is_told_of_rights_for_the_rest(
    everything: Everything, command: str, tmp_path: Path
) -> None:
    result = run(everything, everything.reader, command, tmp_path)
    if command in ANYBODY | READERS:
        assert result.exit_code == 0, result.output
    else:
        assert re.search("lacks (a )?right|permission denied", complaint(result))


PRINTING = (
    *("sql list", "obscore check", "ppdb check", "tap-schema diff", "tap-schema history", "tap-schema lint"),
    *("replay list", "replay migrate", "replay verify", "replay verify-all", "queue status"),
    *("follow status", "task check", "ppdb follow status", "ppdb release status"),
    *("obscore releases", "presence plan", "presence summary"),
    *("coverage last-night", "journal list", "log last-night"),
)
"""Commands that write by the one printer: one target for each is enough."""
WRITING = {
    **dict.fromkeys(("caom2 export", "coverage export", "coverage plot"), "--output"),
    **dict.fromkeys(PRINTING, "--output"),
    **dict.fromkeys(("obscore export", "obscore init", "obscore mapping"), "--output"),
    **{f"query {command}": "--output" for command in ("explain", "parse", "run", "translate")},
    **dict.fromkeys(("replay run", "tap-schema generate"), "--output"),
    "replay capture": "--record",
    "obscore drop": "--save-config",
    "migrate init": "",
    **dict.fromkeys(("provenance show", "task init", "watch"), "--output"),
}
"""The option of each command that names what is written; nothing for an argument."""

NO_DATABASE = {
    "query parse": ["SELECT a FROM b"],
    "migrate init": [],
    "sql list": [],
    "task check": ["{pipeline}", "{butler}"],
    "task init": [str(SOURCES_OF_IMAGES)],
}
UNWRITABLE = ("{folder}/missing/file", "{folder}/a-file/file", "{folder}", "/proc/file", "/dev/full")
FOLDERS = ("{folder}/a-file/folder", "{folder}/a-file", "/proc/folder", "{folder}/full")
"""Names of folders in which nothing can be written."""


def _targets(command: str) -> tuple[str, ...]:
    if command in PRINTING:
        return UNWRITABLE[:1]
    return FOLDERS if command in {"obscore drop", "migrate init"} else UNWRITABLE


def test_every_option_that_names_what_is_written_is_here() -> None:
    written = {"output", "save_config", "directory"}
    found = set()
    for name in ALL:
        command: click.Command = main
        for part in name.split():
            assert isinstance(command, click.Group)
            one = command.get_command(click.Context(command), part)
            assert one is not None
            command = one
        options = {one.name for one in command.params}
        if options & written or any(one.name == "record" and one.opts[0] == "-r" for one in command.params):
            found.add(name)
    assert found == WRITING.keys()


@pytest.mark.parametrize(
    ("command", "target"),
    [(command, target) for command in WRITING for target in _targets(command)],
)
def test_what_cannot_be_written_is_one_message_that_names_it(
    everything: Everything, command: str, target: str, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "full").mkdir()
    for name in ("alembic.ini", "ivoa.obscore.yaml"):
        (tmp_path / "full" / name).symlink_to("/dev/full")
    name = target.format(folder=tmp_path)
    rest = (
        [text.format(**everything.files) for text in NO_DATABASE[command]]
        if command in NO_DATABASE
        else everything.arguments(command, tmp_path)[len(command.split()) :]
    )
    more = {"obscore export": ["--format", "csv"], "migrate init": ["--force"]}.get(command, [])
    environment = {"TAPDB_URL": everything.url.render_as_string(hide_password=False), "DATABASE_URL": None}
    arguments = [*command.split(), *rest, *more, *filter(None, [WRITING[command]]), name]
    result = CliRunner(env=environment).invoke(main, arguments)
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in {1, 2}
    (line,) = [one for one in result.stderr.splitlines() if one.startswith("Error: ")]
    assert name in line
    assert result.stdout == ""
    assert "Dropped" not in result.stderr
    assert Path("/dev/full").is_char_device()
    with open_engine(everything.url) as engine, engine.connect() as connection:
        assert len(read_stored_views(connection)) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_does_not_exist_is_one_message(
    everything: Everything, command: str, tmp_path: Path
) -> None:
    message = complaint(run(everything, everything.url.set(database="nosuch"), command, tmp_path))
    assert 'database "nosuch" does not exist' in message


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_down_is_one_message(everything: Everything, command: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        # Bound and not listening: connections are refused, and nobody else gets the port.
        taken.bind(("127.0.0.1", 0))
        nowhere = everything.url.set(host="127.0.0.1", port=taken.getsockname()[1])
        message = complaint(run(everything, nowhere, command, tmp_path))
    assert "Check that the server runs" in message


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_database_is_one_message_or_nothing_to_say(
    everything: Everything, empty_database: Callable[[], sa.URL], command: str, tmp_path: Path
) -> None:
    result = run(everything, empty_database(), command, tmp_path)
    if result.exit_code:
        complaint(result)


def foreign_options(command: str, message: str) -> set[str]:
    """Return the options that a message names and the command lacks, less those after another command."""
    group: click.Command = main
    for word in command.split():
        assert isinstance(group, click.Group)
        found = group.get_command(click.Context(group), word)
        assert found is not None
        group = found
    known = {option for parameter in group.params for option in parameter.opts}
    own = re.sub(r"(tapdb|alembic) [a-z-]+[^;.\n]*", "", message)
    return set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)(?=[ =.,;\n])", own)) - known


def test_the_search_for_foreign_options_sees_one() -> None:
    assert foreign_options("obscore init", "Choose one: -x registry_schema=NAME.") == {"-x"}
    assert foreign_options("migrate upgrade", "Choose one by -x a=, or --url.\nRun: tapdb a --none") == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_advice_names_only_options_of_the_command_that_was_run(
    everything: Everything, empty_database: Callable[[], sa.URL], command: str, tmp_path: Path
) -> None:
    urls = [everything.stranger, everything.url.set(database="nosuch"), empty_database()]
    for url in urls:
        said = run(everything, url, command, tmp_path).stderr.partition("Error: ")[2]
        assert foreign_options(command, said) == set(), said
    with_schema = [*everything.arguments(command, tmp_path), "--registry-schema", "nosuch"]
    variables = {"TAPDB_URL": everything.url.render_as_string(hide_password=False), "DATABASE_URL": None}
    if command in {"obscore init", "obscore plan"}:
        said = CliRunner(env=variables).invoke(main, with_schema).stderr.partition("Error: ")[2]
        assert "--registry-schema or TAPDB_REGISTRY_SCHEMA" in said
        assert foreign_options(command, said) == set(), said
