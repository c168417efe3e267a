"""``tapdb tap-schema``: every command, on a real database."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from felis.datamodel import Schema

from tap_schema.assemble import assemble
from tap_schema.datalink import read_services
from tap_schema.publish import publish
from tap_schema.stored import read_rows, stored_table
from tapdb.cli.root import main
from tapdb.server.environment import client_environment
from tests.plugins.tap_schema_fixtures import FELIS

Run = Callable[..., Result]
Write = Callable[..., str]

SERVICES = """
services:
- id: spectra
  table: small.star
  access_url: /api/spectra
  standard_id: ivo://ivoa.net/std/DataLink#links-1.1
  content_type: application/x-votable+xml;content=datalink
  description: Spectra of a star
  parameters:
  - {name: ID, column: id, datatype: long}
  - {name: BAND, value: r}
  - {name: SIZE, datatype: double, unit: arcsec, description: Size of the cutout}
"""


@pytest.fixture
def tap(small_database: sa.Engine) -> Run:
    """Return a function that runs ``tapdb tap-schema``."""
    url = small_database.url.render_as_string(hide_password=False)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner(env={"TAPDB_URL": url}).invoke(main, ["tap-schema", *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


def digest(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        return read_rows(connection).digest()


def run_by_psql(engine: sa.Engine, script: str) -> None:
    done = subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        input=script,
        env=client_environment(engine.url),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_publish_then_diff_then_publish_again(tap: Run, felis_file: Write) -> None:
    file = felis_file()
    found = tap("diff", file, code=1).stdout
    assert "added" in found
    assert "small.star.ra" in found
    assert "rows added" in tap("publish", file).stderr
    assert "No difference." in tap("diff", file).stderr
    assert "No difference." in tap("diff").stderr
    assert "nothing was written" in tap("publish", file).stderr


def test_diff_tells_what_the_database_has_become(
    tap: Run, felis_file: Write, small_database: sa.Engine
) -> None:
    file = felis_file()
    tap("publish", file)
    with small_database.begin() as connection:
        connection.exec_driver_sql("CREATE INDEX ON small.star (name); ALTER TABLE small.star DROP hidden")
    rows = json.loads(tap("diff", "--format", "json", code=1).stdout)
    assert {(row["what"], row["subject"]) for row in rows} >= {
        ("changed", "small.star.name"),
        ("removed", "small.star.hidden"),
    }
    with_file = json.loads(tap("diff", file, "--format", "json", code=1).stdout)
    assert ("column-missing", "small.star.hidden") in {(row["what"], row["subject"]) for row in with_file}


def test_a_dry_run_prints_what_psql_can_run(tap: Run, felis_file: Write, small_database: sa.Engine) -> None:
    file = felis_file(FELIS, ("description: Right ascension", 'description: "It\'s \\\\N; -- a %s :x"'))
    before = digest(small_database)
    dry = tap("publish", file, "--dry-run", "-m", "a 'reason'")
    assert "Would publish" in dry.stderr
    assert dry.stdout.startswith("BEGIN;")
    assert digest(small_database) == before
    run_by_psql(small_database, dry.stdout)
    assert "nothing was written" in tap("publish", file).stderr
    (last, *_) = json.loads(tap("history", "--format", "json").stdout)
    assert last["comment"] == "a 'reason'"


def test_history_and_rollback(tap: Run, felis_file: Write, small_database: sa.Engine) -> None:
    tap("publish", felis_file(), "-m", "first")
    first = digest(small_database)
    tap("publish", felis_file(FELIS, ("description: Stars\n", "description: Suns\n")), "-m", "second")
    rows = list(csv.DictReader(io.StringIO(tap("history", "--format", "csv").stdout)))
    assert [row["comment"] for row in rows] == ["second", "first", "alembic"]
    assert "second" in tap("history").stdout
    assert "UPDATE" in tap("rollback", "--dry-run").stdout
    tap("rollback")
    assert digest(small_database) == first
    tap("rollback", "--to", "1")
    assert "rollback to generation 1" in tap("history").stdout
    assert "there is no generation 99" in tap("rollback", "--to", "99", code=2).output


def test_going_back_to_nothing_is_asked_for_twice(
    tap: Run, felis_file: Write, small_database: sa.Engine
) -> None:
    # The only publication is that of the migration: the one before the last is none.
    before = digest(small_database)
    assert "no table could be queried" in tap("rollback", code=2).output
    assert "add --yes" in tap("rollback", "--to", "0", code=2).output
    assert digest(small_database) == before
    assert "DELETE" in tap("rollback", "--to", "0", "--dry-run").stdout
    tap("rollback", "--to", "0", "--yes")
    assert tap("generate", "--published", "--format", "csv", "--table", "tables").stdout.count("\n") == 1


def test_lint_names_file_line_table_column_and_remedy(tap: Run, felis_file: Write) -> None:
    file = felis_file(
        FELIS,
        ('"ivoa:unit": mag', '"ivoa:unit": deg_C'),
        ("description: Size}", "}"),
        ('"ivoa:ucd": pos.eq.ra', '"ivoa:ucd": pos.eq.raa'),
    )
    result = tap("lint", file, "--format", "json", code=1)
    findings = {(one["rule"], one["subject"]): one for one in json.loads(result.stdout)}
    assert ("unit", "small.star.mag") in findings
    assert ("ucd", "small.star.ra") in findings
    assert ("description", 'small.star."size"') in findings
    unit = findings["unit", "small.star.mag"]
    line = next(n for n, text in enumerate(FELIS.splitlines(), start=1) if "name: mag" in text)
    assert unit["place"] == f"{file}:{line}"
    assert "deg_C" in unit["problem"]
    assert "VOUnits" in unit["remedy"]
    assert "1 error: unit" in result.stderr


def test_lint_exits_1_for_warnings_only_if_it_is_strict(tap: Run, felis_file: Write) -> None:
    file = felis_file(FELIS, ("description: Size}", "}"))
    tap("lint", file)
    tap("lint", file, "--strict", code=1)
    text = tap("lint", file).stdout
    assert "no description" in text


def test_lint_reads_the_values_of_obscore_if_it_is_asked_to(tap: Run, small_database: sa.Engine) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE ivoa.obscore (calib_level int, obs_id text);"
            "INSERT INTO ivoa.obscore VALUES (7, NULL); GRANT SELECT ON ivoa.obscore TO tapdb_reader"
        )
    rules = {one["rule"] for one in json.loads(tap("lint", "--format", "json", code=1).stdout)}
    assert "mandatory" in rules
    assert not {"value", "null"} & rules
    found = json.loads(tap("lint", "--values", "--format", "json", code=1).stdout)
    assert {(one["rule"], one["subject"]) for one in found} >= {
        ("value", "ivoa.ObsCore.calib_level"),
        ("null", "ivoa.ObsCore.obs_id"),
    }


def test_publish_is_refused_if_it_is_strict_and_something_is_wrong(
    tap: Run, felis_file: Write, small_database: sa.Engine
) -> None:
    before = digest(small_database)
    file = felis_file(FELIS, ('"ivoa:unit": mag', '"ivoa:unit": deg_C'))
    refused = tap("publish", file, "--strict", code=1)
    assert "TAP_SCHEMA stays as it was" in refused.output
    assert "small.star.mag: unit deg_C" in refused.output
    assert digest(small_database) == before
    tap("publish", file)


def test_a_table_that_the_reader_may_not_read_is_refused_or_granted(
    tap: Run, felis_file: Write, small_database: sa.Engine
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql("REVOKE ALL ON ALL TABLES IN SCHEMA small FROM tapdb_reader")
        connection.exec_driver_sql("REVOKE USAGE ON SCHEMA small FROM tapdb_reader")
    file = felis_file()
    assert "role tapdb_reader may not read" in tap("publish", file, code=1).output
    dry = tap("publish", file, "--grant", "--dry-run").stdout
    with small_database.connect() as connection:
        readable = "SELECT has_table_privilege('tapdb_reader', 'small.star', 'SELECT')"
        assert connection.exec_driver_sql(readable).scalar() is False
    run_by_psql(small_database, dry)
    assert "nothing was written" in tap("publish", file).stderr
    with small_database.connect() as connection:
        connection.exec_driver_sql("SET ROLE tapdb_reader")
        assert connection.exec_driver_sql("SELECT * FROM small.star").all() == []
    assert "No difference." in tap("diff", file).stderr


def test_reading_is_granted_before_it_is_published(
    tap: Run, felis_file: Write, small_database: sa.Engine
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql("REVOKE ALL ON ALL TABLES IN SCHEMA small FROM tapdb_reader")
    tap("publish", felis_file(), "--grant")
    with small_database.connect() as connection:
        connection.exec_driver_sql("SET ROLE tapdb_reader")
        assert connection.exec_driver_sql("SELECT * FROM small.star").all() == []


def test_what_is_no_longer_to_be_read_is_forgotten_and_its_neighbours_published_again(
    tap: Run, felis_file: Write, small_database: sa.Engine
) -> None:
    file = felis_file()
    tap("publish", file)
    with small_database.begin() as connection:
        connection.exec_driver_sql("REVOKE SELECT ON small.bright FROM tapdb_reader")
    assert "--forget small takes back what is published" in tap("publish", code=1).output
    rest = felis_file(FELIS.split("- name: bright")[0])
    tap("publish", "--forget", "small", rest)
    names = tap("generate", "--published", "--schema", "small", "--format", "csv", "--table", "tables").stdout
    assert "small.star" in names
    assert "small.bright" not in names
    assert "nothing was written" in tap("publish", rest).stderr


def test_a_schema_is_forgotten(tap: Run, felis_file: Write) -> None:
    tap("publish", felis_file())
    tap("publish", "--forget", "small")
    assert "small" not in tap("generate", "--published", "--format", "csv", "--table", "schemas").stdout
    assert "No difference." in tap("diff").stderr
    assert "--forget: no schema smal is published; " in tap("publish", "--forget", "smal", code=2).output


@pytest.mark.parametrize("form", ["vosi", "json", "csv"])
def test_what_would_be_published_is_written(tap: Run, felis_file: Write, form: str) -> None:
    text = tap("generate", felis_file(), "--format", form).stdout
    assert "small.star" in text
    assert "tap_schema.columns" in text
    only = tap("generate", felis_file(), "--format", form, "--schema", "small").stdout
    assert "tap_schema" not in only.replace("/tap_schema", "")


def test_csv_shows_each_table(tap: Run, felis_file: Write) -> None:
    text = tap("generate", felis_file(), "--format", "csv", "--table", "keys").stdout
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["key_id", "from_table", "target_table", "description", "utype"]
    assert ["small.spectrum.to_star", "small.spectrum", "small.star", "The star that it is of", ""] in rows


def test_felis_is_written_of_one_schema(tap: Run, felis_file: Write, tmp_path: object) -> None:
    tap("publish", felis_file())
    refused = tap("generate", "--published", "--format", "felis", code=2).output
    assert "a Felis file holds one schema" in refused
    back = felis_file("", name="back.yaml")
    tap("generate", "--published", "--format", "felis", "--schema", "small", "-o", back)
    assert Schema.from_uri(back, context={"id_generation": True}).name == "small"
    assert "No difference." in tap("diff", back).stderr
    assert "there is no schema nosuch" in tap("generate", "--schema", "nosuch", code=2).output


def test_a_file_stays_whole_if_nothing_can_be_written_to_it(
    tap: Run, felis_file: Write, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.yaml"
    kept.write_text("precious")
    tap("generate", "--published", "--format", "felis", "-o", str(kept), code=0)
    tap("publish", felis_file())
    kept.write_text("precious")
    assert "add --schema" in tap("generate", "--format", "felis", "-o", str(kept), code=2).output
    assert kept.read_text() == "precious"
    for nowhere in (tmp_path / "nosuch" / "x.xml", tmp_path):
        refused = tap("generate", "-o", str(nowhere), code=1)
        assert f"Could not open file '{nowhere}'" in refused.output


def test_who_may_not_read_or_publish_is_told_so(small_database: sa.Engine) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE stranger LOGIN PASSWORD 'secret'")
    url = small_database.url.set(username="stranger", password="secret").render_as_string(hide_password=False)
    try:
        for command in ("history", "diff", "lint", "generate", "publish --dry-run", "rollback", "publish"):
            found = CliRunner(env={"TAPDB_URL": url}).invoke(main, ["tap-schema", *command.split()])
            assert (found.exit_code, found.stdout) == (1, "")
            refused = (
                'Error: user "stranger" lacks rights in this database to publish TAP_SCHEMA.'
                if command in {"rollback", "publish"}
                else 'Error: the database refused user "stranger": permission denied for schema tap_schema'
            )
            assert found.stderr.splitlines()[0] == refused
    finally:
        with small_database.begin() as connection:
            connection.exec_driver_sql("DROP ROLE stranger")


@pytest.mark.parametrize("table", ["tables", "keys"])
@pytest.mark.parametrize("command", [["diff"], ["generate", "--published"]])
def test_who_looks_sees_one_state_though_another_publishes_meanwhile(
    tap: Run,
    felis_file: Write,
    small_database: sa.Engine,
    command: list[str],
    table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tap("publish", felis_file())
    before = tap(*command).stdout
    others: list[int] = []

    def publish_before_it_is_read(name: str) -> sa.TableClause:
        if name == table and not others:
            others.append(0)
            with small_database.begin() as connection:
                others[0] = len(publish(connection, assemble(connection, forget=["small"]).rows).changes)
        return stored_table(name)

    monkeypatch.setattr("tap_schema.stored.stored_table", publish_before_it_is_read)
    assert tap(*command).stdout == before
    assert others[0] > 0


def test_services_are_published_as_data(tap: Run, felis_file: Write, small_database: sa.Engine) -> None:
    services = felis_file(SERVICES, name="services.yaml")
    tap("publish", felis_file(), "--datalink", services)
    with small_database.connect() as connection:
        connection.exec_driver_sql("SET ROLE tapdb_reader")
        rows = connection.exec_driver_sql(
            "SELECT p.parameter_name, p.value, c.column_id, p.unit FROM tap_schema.datalink_service s"
            " JOIN tap_schema.datalink_parameter p USING (service_id)"
            " LEFT JOIN tap_schema.columns11 c"
            " ON c.table_name = p.table_name AND c.column_name = p.column_name"
            " WHERE s.table_name = 'small.star' ORDER BY p.parameter_index"
        ).all()
    assert [tuple(row) for row in rows] == [
        ("ID", None, "small_star_id", None),
        ("BAND", "r", None, None),
        ("SIZE", None, None, "arcsec"),
    ]
    # They stay when the tables are published again without them.
    assert "nothing was written" in tap("publish", felis_file()).stderr


@pytest.mark.parametrize("value", ["010", "0x10", "yes", "1.10", "1_000", "2020-01-01", "~ 5"])
def test_a_constant_input_of_a_service_is_what_is_written(felis_file: Write, value: str) -> None:
    (service,) = read_services([felis_file(SERVICES, ("value: r", f"value: {value}"))])
    assert [one.value for one in service.parameters] == [None, value, None]


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("column: id", "column: nosuch", 1, "parameter ID needs column nosuch, which is not published"),
        ("table: small.star", "table: small.nosuch", 1, "its table small.nosuch is not published"),
        ("table: small.star", "table: star", 2, "has no schema; write schema.table"),
        ("  access_url: /api/spectra\n", "", 2, "a service has no access_url"),
        ("{name: BAND,", "{nmae: BAND,", 2, "a parameter has no name"),
        ("{name: BAND,", "{name: BAND, column: name,", 2, "it has a column and a value"),
        ("content_type:", "contents:", 2, "contents is no key"),
        ("description: Spectra of a star", "description: [Spectra]", 2, "description is a list or a mapping"),
        ("id: spectra", "id: 1 spectra", 2, "a service has the id 1 spectra; write letters, digits"),
        ("datatype: double", "datatype: real", 2, "its datatype is real; write one of bit, boolean, char"),
        ("{name: BAND,", "{name: ID,", 2, "spectra.ID: the parameter is described twice; keep one"),
        ("value: r}", "value: [r]}", 2, "value is a list or a mapping"),
        (
            "services:\n",
            f"services:\n{SERVICES.removeprefix(chr(10) + 'services:' + chr(10))}",
            2,
            "described twice",
        ),
    ],
)
def test_a_service_that_needs_what_is_not_there_is_said(
    tap: Run, felis_file: Write, old: str, new: str, code: int, message: str
) -> None:
    services = felis_file(SERVICES, (old, new), name="services.yaml")
    result = tap("lint", felis_file(), "--datalink", services, "--format", "json", code=code)
    assert message in result.output.replace("\\n", "")


def test_a_file_that_cannot_be_used_is_a_usage_error(tap: Run, felis_file: Write) -> None:
    assert "is no YAML" in tap("publish", felis_file("name: ["), code=2).output
    assert "cannot be read" in tap("diff", "nosuch.yaml", code=2).output


def test_without_a_tap_schema_it_is_said_what_to_do(database_url: sa.URL) -> None:
    url = database_url.render_as_string(hide_password=False)
    for command in (["publish"], ["diff"], ["lint"], ["history"], ["rollback"], ["generate"]):
        result = CliRunner(env={"TAPDB_URL": url}).invoke(main, ["tap-schema", *command])
        assert result.exit_code == 1
        assert "tapdb migrate upgrade" in result.output
