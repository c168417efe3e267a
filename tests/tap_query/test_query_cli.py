"""``tapdb query``: every command, on a real database with a TAP_SCHEMA."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse as parse_votable
from astropy.io.votable import parse_single_table
from click.testing import CliRunner, Result
from felis.datamodel import Schema

from adql import CompiledQuery, OutputColumn, metadata_from_rows, parse, to_postgres
from tap_query.errors import MissingTapSchemaError, QueryFailedError
from tap_query.execute import Session, fetch, read_server
from tap_query.metadata import read_felis, read_metadata
from tapdb.cli.root import main
from tapdb.postgres.engine import checked_connection, driver_connection
from tapdb.votable import plain_rows
from tests.adql.published_tables import METADATA, create_published_tables
from tests.plugins.stilts_fixtures import Stilts

PROJECT = Path(__file__).resolve().parents[2]

ROWS = Path(__file__).parent.parent / "adql" / "data" / "small_rows.sql"
TAP_SCHEMA = Path(__file__).parent / "tap_schema.sql"
CONE = "SELECT objectId, coord_ra FROM cat.Object WHERE DISTANCE(coord_ra, coord_dec, 10, 0) < 0.5"


@pytest.fixture(scope="module")
def service_url(clone_for_session: Callable[[str], sa.URL], template_database: str) -> sa.URL:
    """Return the URL of a database whose TAP_SCHEMA publishes the small service."""
    url = clone_for_session(template_database)
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as connection:
        create_published_tables(connection)
        connection.execute(ROWS.read_bytes())
        connection.execute(TAP_SCHEMA.read_bytes())
        for table in METADATA.tables[:5]:
            name = ".".join(table.name)
            connection.execute("INSERT INTO tap_schema.tables VALUES (%s)", (name,))
            for index, column in enumerate(table.columns):
                known = column.type
                connection.execute(
                    "INSERT INTO tap_schema.columns VALUES (%s, %s, %s, %s, %s, %s, %s, NULL, %s, 0, %s)",
                    (
                        *(name, column.name, known.datatype, known.arraysize, known.xtype, known.unit),
                        *(known.ucd, f"the column {column.name}", index),
                    ),
                )
    return url


@pytest.fixture
def tapdb(service_url: sa.URL) -> Callable[..., Result]:
    """Return a function that runs ``tapdb query``."""
    text = service_url.render_as_string(hide_password=False)

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner(env={"TAPDB_URL": text}).invoke(main, ["query", *arguments], input=stdin)

    return run


def done(result: Result) -> str:
    """Return the output of a command that went well."""
    assert result.exit_code == 0, result.output
    return result.stdout


def test_parse_prints_strict_adql_on_one_line(tapdb: Callable[..., Result]) -> None:
    assert done(tapdb("parse", "select  x\nfrom t -- all")) == "SELECT x FROM t\n"
    assert done(tapdb("parse", "-", stdin="select x from t")) == "SELECT x FROM t\n"
    text = "SELECT DISTANCE(a, b) AS distance FROM t"
    assert done(tapdb("parse", "--dialect", "rubin", text)) == 'SELECT DISTANCE(a, b) AS "distance" FROM t\n'


def test_parse_reads_a_file_and_shows_the_tree(tapdb: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "query.adql"
    file.write_text("SELECT x + 1 FROM t")
    lines = done(tapdb("parse", "--file", str(file), "--format", "tree")).splitlines()
    assert [line.split()[0] for line in lines] == [
        *("Query", "Select", "Output", "Arithmetic", "Column", "Number", "Table")
    ]


def test_an_error_of_a_query_goes_to_standard_error_with_its_place(tapdb: Callable[..., Result]) -> None:
    result = tapdb("parse", "SELECT x FROM t LIMIT 5")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "LIMIT is not ADQL: use TOP\n  SELECT x FROM t LIMIT 5\n                        ^" in result.stderr


@pytest.mark.parametrize("arguments", [("parse",), ("parse", "SELECT x FROM t", "--file", __file__)])
def test_a_query_must_be_given_once(arguments: tuple[str, ...], tapdb: Callable[..., Result]) -> None:
    assert tapdb(*arguments).exit_code == 2


def test_a_query_that_is_no_text_is_an_error_of_the_option(
    tapdb: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "query.adql"
    file.write_bytes(b"SELECT \xff FROM t")
    result = tapdb("parse", "--file", str(file))
    assert result.exit_code == 2
    assert result.stderr == f"Error: QUERY: {file} cannot be read: it is no UTF-8 text\n"


def test_an_output_that_cannot_be_written_is_an_error_in_one_line(tapdb: Callable[..., Result]) -> None:
    result = tapdb("parse", "SELECT x FROM t", "--output", "/nosuch/file")
    assert result.exit_code == 1
    assert "/nosuch/file" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_translate_prints_the_sql_with_its_parameters(tapdb: Callable[..., Result]) -> None:
    lines = done(tapdb("translate", CONE)).splitlines()
    assert lines[:3] == [
        "-- $1 = 10.0 (double precision)",
        "-- $2 = 0.0 (double precision)",
        "-- $3 = 0.5 (double precision)",
    ]
    assert lines[3].startswith('SELECT "Object"."objectId" AS "objectId"')
    assert lines[3].endswith(" LIMIT 10001")


def test_translate_writes_constants_into_the_sql_for_psql(
    tapdb: Callable[..., Result], service_url: sa.URL, tmp_path: Path
) -> None:
    file = tmp_path / "query.sql"
    assert done(tapdb("translate", CONE, "--inline", "--output", str(file))) == ""
    with checked_connection(service_url, read_only=True) as connection:
        assert [row[0] for row in connection.exec_driver_sql(file.read_text())] == [1]


def test_translate_shows_the_checked_query_and_json(tapdb: Callable[..., Result]) -> None:
    assert done(tapdb("translate", "--format", "adql", "SELECT * FROM other.object AS o")) == (
        "SELECT o.objectId, o.note FROM other.Object AS o\n"
    )
    shown = json.loads(done(tapdb("translate", "--format", "json", CONE)))
    assert shown["parameters"] == [10.0, 0.0, 0.5]
    assert [column["name"] for column in shown["columns"]] == ["objectId", "coord_ra"]


def test_translate_needs_no_database_for_felis_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPDB_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    arguments = ["query", "translate", "--felis", "resource://lsst.sdm.schemas/dp1.yaml"]
    result = CliRunner().invoke(main, [*arguments, "SELECT visit FROM dp1.Visit WHERE band = 'g'"])
    assert '"dp1"."Visit"' in done(result)


def test_explain_shows_a_plan(tapdb: Callable[..., Result]) -> None:
    assert "Seq Scan on" in done(tapdb("explain", CONE))
    assert "actual time" in done(tapdb("explain", "--analyze", CONE))
    plan = json.loads(done(tapdb("explain", "--format", "json", CONE)))[0]
    assert plan["Plan"]["Node Type"] == "Limit"
    analyzed = json.loads(done(tapdb("explain", "--format", "json", "--analyze", CONE)))[0]
    assert analyzed["Plan"]["Actual Rows"] == 1


def test_run_prints_a_table(tapdb: Callable[..., Result]) -> None:
    shown = done(tapdb("run", "SELECT objectId, name FROM cat.Object ORDER BY objectId"))
    assert "objectId" in shown
    assert "be%ta" in shown


def test_run_prints_csv_and_json(tapdb: Callable[..., Result]) -> None:
    text = "SELECT objectId, epoch, pos, name FROM cat.Object WHERE objectId < 3 ORDER BY objectId"
    rows = list(csv.reader(io.StringIO(done(tapdb("run", "--format", "csv", text)))))
    assert rows[0] == ["objectId", "epoch", "pos", "name"]
    assert rows[1] == ["1", "2024-01-01T12:00:00", "0.0 0.0", "alpha"]
    shown = json.loads(done(tapdb("run", "--format", "json", text)))
    assert shown["columns"][0] == {
        "name": "objectId",
        "datatype": "long",
        "ucd": "meta.id;meta.main",
        "description": "the column objectId",
        "id": "cat_Object_objectId",
    }
    assert shown["rows"][0] == [1, "2024-01-01T12:00:00", [0.0, 0.0], "alpha"]
    assert not shown["overflow"]


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "tr_TR.ISO-8859-9", "PYTHONIOENCODING": "iso8859-9"},
        {"LC_ALL": "tr_TR.UTF-8"},
    ],
    ids=["C", "Latin-5", "UTF-8"],
)
def test_rows_in_a_pipe_are_utf_8_in_every_locale(
    locale: dict[str, str], service_url: sa.URL, tmp_path: Path
) -> None:
    # Python finds no package by a name that its locale cannot write: a clone may lie anywhere.
    for folder in ("adql", "obscore_view", "ppdb_replay", "tap_query", "tap_schema", "tapdb"):
        (tmp_path / folder).symlink_to(PROJECT / folder)
    for package, folder in (("tapdb_sql", "sql"), ("tapdb_migrations", "migrations")):
        (tmp_path / package).symlink_to(PROJECT / folder)
    environment = (
        os.environ
        | locale
        | {
            "TAPDB_URL": service_url.render_as_string(hide_password=False),
            "PYTHONPATH": str(tmp_path),
        }
    )
    program = [sys.executable, "-c", "from tapdb.cli.root import main; main()"]
    for form in ("csv", "json", "votable", "table"):
        written = subprocess.run(
            [*program, "query", "run", "--format", form, "-"],
            env=environment,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            input="SELECT TOP 1 'λ ─ İı' AS label FROM cat.Object".encode(),
        )
        assert written.returncode == 0, written.stderr
        text = written.stdout.decode("utf-8")
        assert "λ ─ İı" in (str(json.loads(text)) if form == "json" else text)


def test_run_writes_a_votable_that_astropy_reads(tapdb: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "result.vot"
    text = "SELECT * FROM cat.Object ORDER BY objectId"
    assert done(tapdb("run", "--format", "votable", "-o", str(file), text)) == ""
    table = parse_single_table(file)
    fields = {field.name: field for field in table.fields}
    assert (fields["coord_ra"].unit, fields["coord_ra"].ucd) == ("deg", "pos.eq.ra;meta.main")
    assert (fields["epoch"].xtype, fields["pos"].xtype, fields["pos"].arraysize) == (
        "timestamp",
        "point",
        "2",
    )
    assert list(table.array["objectId"]) == [1, 2, 3, 4]
    assert list(table.array["coord_ra"].mask) == [False, False, False, True]
    assert str(table.array["epoch"][0]) == "2024-01-01T12:00:00"
    assert list(table.array["pos"][2]) == pytest.approx([57.29577951308232] * 2)


def test_run_writes_a_votable_in_which_stilts_finds_no_fault(
    tapdb: Callable[..., Result], tmp_path: Path, stilts: Stilts
) -> None:
    file = tmp_path / "result.vot"
    # Without arrays: of an empty cell this STILTS says that it is no number, where the standard says NULL.
    text = 'SELECT objectId, coord_ra, psfFlux, flux_count, detect_isPrimary, band, "size" FROM cat.Object'
    assert done(tapdb("run", "--format", "votable", "-o", str(file), text)) == ""
    assert [line for line in stilts.votable_errors(file) if line.startswith("ERROR")] == []


def test_more_rows_than_maxrec_are_cut_off_and_said_so(tapdb: Callable[..., Result], tmp_path: Path) -> None:
    result = tapdb("run", "--maxrec", "2", "--format", "csv", "SELECT objectId FROM cat.Object")
    assert len(result.stdout.splitlines()) == 3
    assert "more than 2 rows" in result.stderr
    file = tmp_path / "result.vot"
    done(
        tapdb(
            "run", "--maxrec", "2", "--format", "votable", "-o", str(file), "SELECT objectId FROM cat.Object"
        )
    )
    # Behind the table, where DALI wants it.
    (resource,) = parse_votable(file).resources
    assert [one.value for one in resource.infos if one.name == "QUERY_STATUS"] == ["OK", "OVERFLOW"]
    assert file.read_bytes().index(b"</TABLE>") < file.read_bytes().index(b"OVERFLOW")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1 + EXP(1000) FROM cat.Object", "or EXP(1000) (line 1, column 12)"),
        ("SELECT 3000000000 * 4000000000 FROM cat.Object", "CAST an operand to a wider type"),
        ("SELECT CAST(name AS INTEGER) FROM cat.Object", "invalid input syntax for type integer"),
        ("SELECT CAST(name AS INTEGER) FROM cat.Object", "look at CAST(name AS INTEGER) (line 1, column 8)"),
        ("SELECT POLYGON(coord_ra, 0, coord_ra, 0, 1, 1) FROM cat.Object", "less than three vertices"),
        ("SELECT POLYGON(coord_ra, 0, 1, 1, 1, 0, 0, 1) FROM cat.Object", "crosses itself"),
        (
            "SELECT 1 FROM cat.Object AS a FULL JOIN cat.Source AS b ON a.objectId < b.objectId",
            "FULL JOIN only where columns have to be equal",
        ),
        ("SELECT nosuch FROM cat.Object", "there is no column nosuch"),
    ],
)
def test_a_query_that_fails_says_why(text: str, message: str, tapdb: Callable[..., Result]) -> None:
    result = tapdb("run", text)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_query_is_stopped_at_its_time_limit(service_url: sa.URL) -> None:
    slow = CompiledQuery("SELECT pg_sleep(30)", (), (), (OutputColumn("x", "int"),))
    with (
        checked_connection(service_url, read_only=True) as connection,
        pytest.raises(QueryFailedError, match="took longer than the time limit") as caught,
    ):
        fetch(driver_connection(connection), slow, max_rows=1, session=Session(timeout_ms=100))
    assert caught.value.sqlstate == "57014"


def test_nothing_can_be_changed_even_by_sql_of_another_origin(service_url: sa.URL) -> None:
    bad = CompiledQuery('DELETE FROM cat."Object" RETURNING 1', (), (), (OutputColumn("x", "int"),))
    with checked_connection(service_url) as connection, pytest.raises(QueryFailedError, match="read-only"):
        fetch(driver_connection(connection), bad, max_rows=1)


def test_queries_of_one_shape_share_one_prepared_statement(service_url: sa.URL, tapdb: Any) -> None:
    with checked_connection(service_url, read_only=True) as connection:
        metadata, server = read_metadata(connection), read_server(connection)
        driver: Any = connection.connection.driver_connection
        driver.prepare_threshold = 0
        for number in (1, 70000, 5_000_000_000):
            query = parse(f"SELECT band FROM cat.Object WHERE objectId = {number} AND coord_ra > {number}")  # noqa: S608
            fetch(driver_connection(connection), to_postgres(query, metadata, server=server), max_rows=5)
        found = connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars()
        assert len([statement for statement in found if '"Object"' in statement]) == 1


def test_a_database_without_tap_schema_says_what_to_do(database_url: sa.URL) -> None:
    with checked_connection(database_url) as connection:
        with pytest.raises(MissingTapSchemaError, match="felis="):
            read_metadata(connection)
        connection.rollback()
        connection.exec_driver_sql(TAP_SCHEMA.read_text())
        with pytest.raises(MissingTapSchemaError, match="has no rows"):
            read_metadata(connection)


@pytest.mark.parametrize("file", ["nosuch.yaml", "resource://lsst.sdm.schemas/nosuch.yaml"])
def test_a_felis_file_that_cannot_be_read_is_an_error_of_the_option(
    file: str, tapdb: Callable[..., Result]
) -> None:
    result = tapdb("translate", "--felis", file, "SELECT x FROM t")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{file}: cannot be read" in result.stderr


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "name: x", "text", "tables: 3", "name: x\ntables: [{}]"])
def test_a_file_that_is_no_felis_schema_is_an_error_of_the_option(
    text: str, tapdb: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "schema.yaml"
    file.write_text(text)
    result = tapdb("translate", "--felis", str(file), "SELECT x FROM t")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {file}:")


def test_felis_files_say_all_of_a_type_that_felis_can_say() -> None:
    schema = "resource://lsst.sdm.schemas/dp1.yaml"
    published = {
        (".".join(table.name), column.name): column.type
        for table in read_felis([schema]).tables
        for column in table.columns
    }
    described = Schema.from_uri(schema, context={"id_generation": True})
    asked = {
        (f"{described.name}.{table.name}", column.name): (column.votable_arraysize, column.votable_xtype)
        for table in described.tables
        for column in table.columns
    }
    assert published.keys() == asked.keys()
    said = {name: (size, xtype) for name, (size, xtype) in asked.items() if size or xtype}
    assert len(said) > 5
    for name, (size, xtype) in said.items():
        found = published[name]
        assert size is None or found.arraysize == str(size), name
        assert xtype is None or found.xtype == xtype, name


def test_the_hidden_geometry_of_obscore_is_found_in_the_database(tapdb: Callable[..., Result]) -> None:
    shown = done(
        tapdb("translate", "SELECT obs_id FROM ivoa.ObsCore WHERE CONTAINS(POINT(1, 2), s_region) = 1")
    )
    assert '<@ "ObsCore"."pgs_region"' in shown


def test_timestamps_are_utc_whatever_the_session_and_the_column_say(service_url: sa.URL) -> None:
    metadata = metadata_from_rows(
        [{"table_name": "pg_temp.moments"}],
        [
            {
                "table_name": "pg_temp.moments",
                "column_name": "moment",
                "datatype": "char",
                "xtype": "timestamp",
            }
        ],
    )
    query = parse("SELECT moment, moment || '' FROM moments WHERE moment >= '2025-01-01T12:00:00'")
    with checked_connection(service_url) as connection:
        connection.exec_driver_sql("SET TimeZone = 'America/Santiago'")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE moments (moment timestamptz)")
        connection.exec_driver_sql("INSERT INTO moments VALUES ('2025-01-01 11:59Z'), ('2025-01-01 12:00Z')")
        connection.commit()
        result = fetch(driver_connection(connection), to_postgres(query, metadata), max_rows=5)
    assert list(plain_rows(result.columns, result.rows)) == [("2025-01-01T12:00:00", "2025-01-01T12:00:00")]


def test_the_tap_schema_that_migrations_make_can_be_queried(migrated_database: sa.URL) -> None:
    with checked_connection(migrated_database, read_only=True) as connection:
        metadata, server = read_metadata(connection), read_server(connection)
        text = (
            'SELECT c.column_name, c."size" FROM TAP_SCHEMA.columns AS c JOIN tables USING (table_name)'
            " WHERE table_name = 'tap_schema.columns' AND std = 1 ORDER BY column_index"
        )
        result = fetch(
            driver_connection(connection), to_postgres(parse(text), metadata, server=server), max_rows=50
        )
    assert [name for name, _ in result.rows][:3] == ["table_name", "column_name", "datatype"]
    assert (result.columns[1].name, result.columns[1].datatype) == ("size", "int")
