"""What a paper says of a result: an identifier in any of its forms, a citation in any format, a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import psycopg
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse_single_table
from astropy.table import Table
from astropy.time import Time
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ppdb_replay import ReplayRecord, query_at
from ppdb_replay.query_store.landing import CITATIONS
from ppdb_replay.query_store.store import find_stored, store_query
from ppdb_replay.query_store.stored_query import named_identifier
from ppdb_replay.replaying.recipe import Recipe
from ppdb_replay.replaying.replayer import snapshot_named
from ppdb_replay.snapshot import iso_tai, parse_when, said_time
from ppdb_replay.versions.clock import read_snapshot
from tap_query.errors import SnapshotParameterError
from tapdb.cli.root import main
from tests.ppdb_replay.changing_ppdb import Connection, change

DATA = Path(__file__).with_name("data")
DATACITE = Path(__file__).parents[1] / "services" / "data" / "datacite-v4.5.json"
QUERY = "SELECT TOP 5 diaObjectId, validityStartMjdTai, ra FROM DiaObject WHERE ra > 11"
SUFFIX = "h5skjlug45kqt25xqjz5zgv3"
DOI = f"10.5072/ppdb.{SUFFIX}"
COMMANDS = ("show", "run", "diff", "verify", "cite", "landing", "verify-all")
Run = Callable[..., Result]


@pytest.fixture
def ppdb(ppdb_database: sa.URL) -> Iterator[Connection]:
    """Return a PPDB that has changed."""
    target = ppdb_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as connection:
        change(connection, 1)
        yield connection


@pytest.fixture
def run(ppdb_database: sa.URL, ppdb: Connection) -> Run:
    """Return a function that runs ``tapdb replay`` on that PPDB."""
    url = ppdb_database.render_as_string(hide_password=False)

    def invoke(*arguments: str | Path, status: int = 0, database: bool = True) -> Result:
        options = ["--url", url] if database else []
        done = CliRunner().invoke(main, ["replay", *map(str, arguments), *options])
        assert done.exit_code == status, done.output
        return done

    return invoke


@pytest.fixture
def record(run: Run, tmp_path: Path) -> Path:
    """Return the record of a result."""
    path = tmp_path / "record.json"
    run("capture", QUERY, "--record", path, "--format", "csv", "-o", tmp_path / "rows.csv")
    return path


def identifier(run: Run, what: str | Path) -> str:
    """Return the identifier that a result gets."""
    return str(json.loads(run("cite", what, "--format", "json").stdout)["identifier"])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (DOI, DOI),
        (f"doi:{DOI}", DOI),
        (f"DOI: {DOI}", DOI),
        (f"https://doi.org/{DOI}", DOI),
        (f"<http://dx.doi.org/{DOI}>", DOI),
        (f"https://doi.org/10.5072%2Fppdb.{SUFFIX}", DOI),
        (f"/replay/{DOI}", DOI),
        (f"replay/{DOI}/", DOI),
        (f"localhost:8642/replay/{DOI}", DOI),
        (f"https://data.example.org/api/replay/{DOI}?RESPONSEFORMAT=text#x", DOI),
        (f"https://data.example.org/replay/{DOI}/result?RESPONSEFORMAT=csv", DOI),
        (f"/replay/{DOI}/changes", DOI),
        (f"https://data.example.org/replay/https://doi.org/{DOI}", DOI),
        (f"/replay/ppdb.{SUFFIX}", f"ppdb.{SUFFIX}"),
        ("/replay/~eJx-_1", "~eJx-_1"),
        ("https://data.example.org/replay/~eJx-_1/result", "~eJx-_1"),
        (f" ppdb.{SUFFIX}\n", f"ppdb.{SUFFIX}"),
        ("https://example.org/10.5072/x", "https://example.org/10.5072/x"),
    ],
)
def test_an_identifier_is_known_in_all_forms_in_which_it_is_written(text: str, meant: str) -> None:
    assert named_identifier(text) == meant


def test_every_command_takes_a_result_by_every_form_of_its_name(
    run: Run, record: Path, ppdb: Connection
) -> None:
    url = "https://archive.example.org/results?id="
    run("collection", "--pid-prefix", "10.5072/Ppdb.", "--landing-url", url)
    pid = identifier(run, record)
    forms = (f"https://doi.org/{pid.lower()}", f"localhost/replay/{pid}/result", f"{url}{pid}")
    word = Recipe.of_record(ReplayRecord.from_json(record.read_text())).to_word()
    for command in COMMANDS:
        named = run(command, pid).stdout
        for form in forms:
            # What is compared is said as it was named.
            assert run(command, form).stdout.replace(form, pid) == named or command == "verify", command
    for command in COMMANDS[:5]:
        run(command, f"/replay/{word}")
    assert run("show", f"/replay/{word}", "--format", "json").stdout == record.read_text()
    # What is not there is said, in whatever form.
    for command in COMMANDS:
        unknown = run(command, "https://doi.org/10.5072/ppdb.none", status=2)
        assert "no stored query is called" in unknown.stderr, command
    assert "there is no such file" in run("show", "rekord.json", status=2).stderr
    assert "was cut" in run("show", f"/replay/{word[:-3]}", status=2).stderr
    assert find_stored(ppdb, f"doi:{pid}").pid == pid


def test_one_result_keeps_its_identifier_when_prefix_or_collection_change(
    run: Run, record: Path, ppdb: Connection
) -> None:
    first = identifier(run, record)
    run("collection", "--pid-prefix", "10.5072/ppdb.", "--title", "Another title")
    assert identifier(run, record) == first
    # The same query written otherwise, at a later snapshot.
    ppdb.execute('UPDATE ppdb."DiaObject" SET "nDiaSources" = "nDiaSources" + 1 WHERE ra < 11')
    run("capture", QUERY.replace("SELECT TOP 5", "select  top 5"), "--record", record, "--format", "csv")
    assert identifier(run, record) == first
    # The control: another result gets an identifier of the new prefix.
    run("capture", QUERY.replace("5", "4"), "--record", record, "--format", "csv")
    assert identifier(run, record).startswith("10.5072/ppdb.")
    assert len(json.loads(run("list", "--format", "json").stdout)) == 2


def test_two_who_cite_one_result_at_one_moment_get_one_identifier(
    record: Path, ppdb: Connection, ppdb_database: sa.URL
) -> None:
    """The second one waits for the first, whose prefix was another one."""
    known = ReplayRecord.from_json(record.read_text())
    target = ppdb_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as other:
        ppdb.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        first = store_query(ppdb, known)
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            store_query(other, known)
        ppdb.execute("COMMIT")
        other.execute("UPDATE ppdb_history.collection SET pid_prefix = '10.5072/ppdb.'")
        assert store_query(other, known).pid == first.pid


@pytest.mark.parametrize("prefix", ["10.5072/ppdb.", "ppdb."])
def test_citations_are_valid_by_their_schemas(run: Run, record: Path, prefix: str) -> None:
    run("collection", "--creator", "Survey & Co", "--publisher", "Data Centre", "--pid-prefix", prefix)
    found = {form: run("cite", record, "--format", form).stdout for form in CITATIONS}
    pid = json.loads(found["json"])["identifier"]
    is_doi = prefix.startswith("10.")
    datacite, (item,) = json.loads(found["datacite"]), json.loads(found["citeproc"])
    validator = jsonschema.Draft201909Validator(json.loads(DATACITE.read_text()))
    validator.validate(datacite)
    required = ("creators", "titles", "publisher", "publicationYear", "types", "schemaVersion")
    assert [name for name in required if not datacite[name]] == []
    assert datacite.get("doi", "") == (pid if is_doi else "")
    csl = jsonschema.Draft202012Validator(json.loads((DATA / "csl-dataset.json").read_text()))
    csl.validate([item])
    # The control: neither accepts everything.
    assert not csl.is_valid([{**item, "DOI": "none"}])
    assert not validator.is_valid({**datacite, "types": {}})
    assert (item["type"], item["author"]) == ("dataset", [{"literal": "Survey & Co"}])
    assert (f"  doi = {{{pid}}}," in found["bibtex"], "author = {{Survey \\& Co}}" in found["bibtex"]) == (
        is_doi,
        True,
    )
    assert (f" https://doi.org/{pid}. " in found["text"], f"https://doi.org/{pid}" == item.get("URL")) == (
        is_doi,
        is_doi,
    )
    assert json.loads(found["schema.org"])["identifier"] == pid


def test_what_nothing_resolves_is_not_called_persistent(run: Run, record: Path) -> None:
    done = run("cite", record)
    assert "nothing leads to this identifier from elsewhere" in done.stderr
    pid = identifier(run, record)
    shown = [run("cite", record, "--format", form).output for form in CITATIONS]
    shown += [run(command, "--help", database=False).output for command in ("cite", "collection", "landing")]
    shown.append(run("landing", pid).output)
    assert [text for text in shown if "persistent" in text.lower()] == []
    run("collection", "--landing-url", "https://archive.example.org/")
    run("collection", "--pid-prefix", "10.5072/ppdb.")
    other = record.with_name("other.json")
    run("capture", QUERY.replace("5", "4"), "--record", other, "--format", "csv")
    assert run("cite", other).stderr == ""


TIMES = st.floats(min_value=60000, max_value=65000)


@given(t_mjd_tai=TIMES)
def test_a_time_is_read_as_it_is_said(t_mjd_tai: float) -> None:
    iso, utc, mjd, jd = said_time(t_mjd_tai).split(", ")
    assert parse_when(mjd.removesuffix(" (TAI)")) == t_mjd_tai
    assert parse_when(jd.removesuffix(" (TAI)")) == t_mjd_tai
    for text in (iso, utc):
        found = parse_when(text)
        # Rounded up: by no more than two microseconds. Rounded down it would mean the snapshot before.
        assert 0 <= found - t_mjd_tai < 3e-11, text


@pytest.mark.parametrize(
    ("text", "value", "form", "scale"),
    [
        ("2026-11-29T11:00:00Z", "2026-11-29T11:00:00", "isot", "utc"),
        ("2026-11-29T11:00:00", "2026-11-29T11:00:00", "isot", "utc"),
        ("2026-11-29 11:00 UTC", "2026-11-29 11:00", "iso", "utc"),
        ("2026-11-29T11:00:37.25 TAI", "2026-11-29T11:00:37.25", "isot", "tai"),
        ("2026-11-29 tai", "2026-11-29", "iso", "tai"),
        ("61373.5", "61373.5", "mjd", "tai"),
        ("MJD61373", "61373", "mjd", "tai"),
        ("mjd 61373.5 TAI", "61373.5", "mjd", "tai"),
        ("61373.5 UTC", "61373.5", "mjd", "utc"),
        ("JD2461375.5", "2461375.5", "jd", "tai"),
        ("JD 2461375.5 UTC", "2461375.5", "jd", "utc"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60", "isot", "utc"),
    ],
)
def test_times_are_those_of_astropy(text: str, value: str, form: str, scale: str) -> None:
    expected = Time(value, format=form, scale=scale).tai.mjd
    assert abs(parse_when(text) - float(expected)) < 2e-11


def test_a_number_is_that_of_a_snapshot_and_nonsense_says_what_to_write() -> None:
    assert parse_when(" 41 ") == 41
    assert isinstance(parse_when("41"), int)
    for text, words in (
        ("yesterday", "neither a number nor a time"),
        ("2461375.5", "if it is a JD write JD2461375.5"),
        ("2026-13-01 TAI", "no such day"),
        ("2026-02-30T00:00:00Z", "no such day"),
        ("MJD", "neither"),
        ("1e5", "neither"),
    ):
        with pytest.raises(SnapshotParameterError, match=words) as caught:
            parse_when(text, name="--at")
        assert str(caught.value).startswith("--at is ")


def test_a_query_of_another_time_is_a_question_in_any_form_of_the_time(
    run: Run, record: Path, ppdb: Connection
) -> None:
    ppdb.execute('UPDATE ppdb."DiaObject" SET ra = 11.5')
    newest = read_snapshot(ppdb)
    iso, utc, mjd, jd = (text.removesuffix(" (TAI)") for text in said_time(newest.t_mjd_tai).split(", "))
    for text in (iso, utc, mjd, jd, str(newest.snapshot_id)):
        done = run("run", record, "--at", text, "--format", "json")
        assert {row[2] for row in json.loads(done.stdout)["rows"]} == {11.5}, text
        assert f"snapshot {newest.snapshot_id}, {iso}" in done.stderr
        run("diff", record, "--at", text, status=1)
        assert query_at(ppdb, QUERY, text).record.snapshot == newest
        assert snapshot_named(ppdb, text) == newest
    for text, words in (
        ("99999", "there is no such snapshot"),
        ("MJD99999", "is in the future"),
        ("JD2400000.5", "before the first snapshot"),
        ("soon", "neither a number nor a time"),
    ):
        refused = run("run", record, "--at", text, status=2).stderr
        assert (words in refused, "--at is" in refused) == (True, True), refused
    known = ReplayRecord.from_json(record.read_text())
    assert iso_tai(known.snapshot.t_mjd_tai) in run("show", record).stdout


def test_a_file_is_verified_alone_by_the_database_and_against_an_identifier(
    run: Run, record: Path, tmp_path: Path, ppdb: Connection
) -> None:
    file, plain, rows = tmp_path / "result.vot", tmp_path / "plain.vot", tmp_path / "rows.csv"
    run("run", record, "--format", "votable", "-o", file)
    pid = identifier(run, record)
    # astropy's tables keep no INFO: the record is gone, and the rows are there.
    Table.read(file, format="votable", use_names_over_ids=True).write(plain, format="votable")
    run("verify", file, "--offline")
    for one in (file, plain, rows, record, pid):
        done = run("verify", one, "--against", f"/replay/{pid}", "--format", "json")
        (found,) = json.loads(done.stdout)
        assert (found["outcome"], found["same_rows"]) == ("identical", True), one
    assert "no INFO called" in run("verify", plain, "--format", "json", status=1).stdout
    run("verify", rows, "--against", record, "--offline")
    ppdb.execute('UPDATE ppdb."DiaObject" SET ra = 11.25 WHERE ra > 11')
    other = tmp_path / "other.vot"
    run("capture", QUERY, "--format", "votable", "-o", other)
    run("verify", other)
    differs = run("verify", other, "--against", pid, "--format", "json", status=1)
    assert "its rows are not those of" in differs.stdout
    lower = tmp_path / "lower.json"
    run("capture", QUERY.replace("11", "0") + " AND ra > 11", "--record", lower, "--format", "csv")
    differs = run("verify", lower, "--against", other, "--format", "json", status=1)
    assert "its query is not that of" in differs.stdout
    header, first, *others = rows.read_text().splitlines()
    rows.write_text("\n".join([header, first.rpartition(",")[0] + ",11.125", *others]) + "\n")
    run("verify", rows, "--against", pid, status=1)
    assert "leave --offline out" in run("verify", file, "--against", pid, "--offline", status=2).stderr


UPLOAD = """<VOTABLE version="1.4"><RESOURCE type="results"><TABLE><FIELD name="id" datatype="long"/>
<DATA><TABLEDATA>{}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""
JOINED = "SELECT o.diaObjectId, o.ra FROM DiaObject AS o JOIN TAP_UPLOAD.mine AS m ON o.diaObjectId = m.id"


def test_an_uploaded_table_is_kept_beside_its_record_and_found_there(
    run: Run, tmp_path: Path, ppdb: Connection
) -> None:
    ids = [str(one[0]) for one in ppdb.execute('SELECT DISTINCT "diaObjectId" FROM ppdb."DiaObject" LIMIT 3')]
    table, record = tmp_path / "objects.vot", tmp_path / "record.json"
    table.write_text(UPLOAD.format("".join(f"<TR><TD>{one}</TD></TR>" for one in ids)))
    options = ("--upload", f"mine={table}", "--format", "json")
    done = run("capture", JOINED, *options, "--record", record)
    kept = tmp_path / "record.mine.vot"
    assert f"TAP_UPLOAD.mine is kept in {kept}" in done.stderr
    assert kept.read_bytes() == table.read_bytes()
    assert "TAP_UPLOAD.mine is an upload: it has to be uploaded again" in done.stderr
    assert {str(row[0]) for row in json.loads(done.stdout)["rows"]} == set(ids)
    ppdb.execute('UPDATE ppdb."DiaObject" SET ra = 11.25')
    assert run("run", record, "--format", "json").stdout == done.stdout
    newest = str(read_snapshot(ppdb).snapshot_id)
    assert run("run", record, "--at", newest, "--format", "json").stdout != done.stdout
    run("verify", record)
    run("diff", record, status=1)
    pid = identifier(run, record)
    assert run("run", pid, *options).stdout == done.stdout
    assert "is not uploaded" in run("run", pid, status=1).stderr
    # A table that is not the one of the record is refused, beside it or given.
    kept.write_text(UPLOAD.format("<TR><TD>1</TD></TR>"))
    assert "has the digest" in run("run", record, status=1).stderr
    run("run", record, *options)
    said = run("capture", JOINED, "--upload", f"mine={table}", "--format", "votable", "-o", "-").stderr
    assert f"TAP_UPLOAD.mine is not kept: keep {table}" in said
    for wrong in ("mine", "mine=", f"mine={tmp_path}/none.vot"):
        run("capture", JOINED, "--upload", wrong, "--record", record, status=2)


def test_a_query_that_takes_too_long_ends(run: Run, tmp_path: Path) -> None:
    names = "abcdefgh"
    tables = ", ".join(f"DiaSource AS {name}" for name in names)
    slow = f"SELECT COUNT(*) AS n FROM {tables} WHERE {' + '.join(f'{name}.ra' for name in names)} > 1"  # noqa: S608  ADQL
    done = run("capture", slow, "--timeout", "1", "--record", tmp_path / "r.json", status=1)
    assert "took longer than the time limit" in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_file_says_units_ucds_and_descriptions(run: Run, ppdb_database: sa.URL, tmp_path: Path) -> None:
    url = ppdb_database.render_as_string(hide_password=False)
    done = CliRunner().invoke(main, ["tap-schema", "publish", "--url", url])
    assert done.exit_code == 0, done.output
    record, files = tmp_path / "record.json", [tmp_path / name for name in ("first", "again", "then")]
    joined = "DiaSource AS s JOIN DiaObject AS o ON s.diaObjectId = o.diaObjectId"
    text = f"SELECT diaSourceId, psfFlux, o.ra FROM {joined}"  # noqa: S608  ADQL
    run("capture", text, "--record", record, "--format", "votable", "-o", files[0])
    run("run", record, "--format", "votable", "-o", files[1])
    run("run", record, "--at", "3", "--format", "votable", "-o", files[2])
    names = ("psfFlux", "ra")
    expected = {("nJy", "phot.count"), ("deg", "pos.eq.ra")}
    for file in files:
        fields = {one.name: one for one in parse_single_table(file).fields}
        assert {(str(fields[name].unit), fields[name].ucd) for name in names} == expected, file
        assert all(one.description for one in fields.values())
    (said,) = [json.loads(run("run", record, "--format", "json").stdout)]
    described = {one["name"]: one for one in said["columns"]}
    assert {(described[name]["unit"], described[name]["ucd"]) for name in names} == expected
    kept = {one.name: one for one in ReplayRecord.from_json(record.read_text()).columns}
    assert {(kept[name].unit, kept[name].ucd) for name in names} == expected
