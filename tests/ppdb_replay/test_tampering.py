"""What a referee has to find: any row, record, snapshot or file that is not as it was written."""

# ruff: noqa: S608  statements are the subject here
from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from ppdb_replay import ReplayRecord
from ppdb_replay.query_store.store import add_revision, find_stored, stored_problems
from ppdb_replay.versions.check import check
from ppdb_replay.versions.verify import verify
from tapdb.cli.root import main
from tapdb.postgres.engine import driver_connection
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, insert_object

QUERY = 'SELECT diaObjectId, validityStartMjdTai, ra, "g_psfFluxMean" FROM DiaObject WHERE ra < 9'
CURRENT, ENDED = 'ppdb."DiaObject"', 'ppdb_history."DiaObject_closed"'
STORE = "ppdb_history.stored_query"

Tamper = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class Cited:
    """A PPDB with a result that is cited, and the files of it."""

    url: sa.URL
    pid: str
    anchors: dict[int, bytes]
    folder: Path


def run(cited: Cited, *arguments: str | Path, database: bool = True) -> tuple[int, str]:
    """Return exit status and output of ``tapdb replay``."""
    url = ["--url", cited.url.render_as_string(hide_password=False)] if database else []
    done = CliRunner().invoke(main, ["replay", *map(str, arguments), *url])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def cited(
    clone_for_session: Callable[[str], sa.URL], ppdb_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Cited:
    """Return a result of five objects, of which some have changed and one has gone since."""
    cited = Cited(clone_for_session(ppdb_template), "", {}, tmp_path_factory.mktemp("cited"))
    record = cited.folder / "record.json"
    with connect(cited.url, autocommit=True) as connection:
        for number in range(1, 6):
            insert_object(connection, number)
        for flux in (1.5, 2.5):
            connection.execute(f'UPDATE {CURRENT} SET "g_psfFluxMean" = {flux} + ra'.encode())
        for form, suffix in (("csv", "csv"), ("json", "rows.json"), ("votable", "vot")):
            output = cited.folder / f"result.{suffix}"
            status, said = run(cited, "capture", QUERY, "-r", record, "--format", form, "-o", output)
            assert status == 0, said
        connection.execute(f'UPDATE {CURRENT} SET "g_psfFluxMean" = 3 WHERE "diaObjectId" < 4'.encode())
        connection.execute(f'DELETE FROM {CURRENT} WHERE "diaObjectId" = 2'.encode())
        status, said = run(cited, "cite", record, "--format", "json")
        assert status == 0, said
        known = ReplayRecord.from_json(record.read_text())
        pid = json.loads(said[: said.rindex("}") + 1])["identifier"]
        add_revision(connection, pid, known)
    digest = bytes.fromhex(known.snapshot_digest)
    return replace(cited, pid=pid, anchors={known.snapshot.snapshot_id: digest})


def found_in_database(session: sa.Connection, cited: Cited) -> list[str]:
    """Return what a referee is told of versions, clock and store."""
    report = verify(session, anchors=cited.anchors)
    return [
        *map(str, report.tamperings),
        *(str(one) for one in check(session) if one.severity == "error"),
        *stored_problems(driver_connection(session), cited.pid),
    ]


@pytest.fixture
def session(cited: Cited) -> Iterator[sa.Connection]:
    """Return a session in that database whose changes are rolled back, and which fires no trigger."""
    with engine_connection(cited.url) as connection, connection.begin_nested() as savepoint:
        for relation in (CURRENT, ENDED, STORE, f"{STORE}_revision"):
            connection.exec_driver_sql(f"ALTER TABLE {relation} DISABLE TRIGGER ALL")
        yield connection
        savepoint.rollback()


def without_disabled(found: list[str]) -> list[str]:
    """Leave out that the triggers are disabled, which is how the tampering was done."""
    return [one for one in found if "is disabled, or not always enabled" not in one]


def resealed(change: str) -> str:
    """Return a statement that changes the text of a record and makes its SHA-256 fit."""
    return (
        f"UPDATE {STORE} SET record = {change}, "
        f"record_sha256 = encode(sha256(convert_to({change}, 'UTF8')), 'hex')"
    )


ONE = 'WHERE snap_to = 8 AND "diaObjectId" = 1'
NOTES = "UPDATE ppdb_history.snapshot_table SET"
COLUMNS = "UPDATE ppdb_history.versioned_column SET"
IN_DATABASE = {
    "a value of a row": f'UPDATE {CURRENT} SET ra = ra + 1e-13 WHERE "diaObjectId" = 4',
    "a value that nobody has measured": f'UPDATE {CURRENT} SET "raErr" = 1 WHERE "diaObjectId" = 4',
    "two rows changed places": f"UPDATE {CURRENT} o SET ra = p.ra FROM {CURRENT} p "
    'WHERE (o."diaObjectId", p."diaObjectId") IN ((4, 5), (5, 4))',
    "a row gone": f'DELETE FROM {CURRENT} WHERE "diaObjectId" = 4',
    "a key": f'UPDATE {CURRENT} SET "diaObjectId" = 40 WHERE "diaObjectId" = 4',
    "the time of a row": f'UPDATE {CURRENT} SET "validityStartMjdTai" = 61001 WHERE "diaObjectId" = 4',
    "a row that began earlier": f'UPDATE {CURRENT} SET snap_from = 3 WHERE "diaObjectId" = 4',
    "a value of an ended version": f"UPDATE {ENDED} SET ra = -ra {ONE}",
    "a value of an ended version lost": f'UPDATE {ENDED} SET "g_psfFluxMean" = NULL {ONE}',
    "an ended version gone": f"DELETE FROM {ENDED} {ONE}",
    "an end moved": f"UPDATE {ENDED} SET snap_to = 9 {ONE}",
    "a beginning moved": f"UPDATE {ENDED} SET snap_from = 5 {ONE}",
    "all ended versions gone": f"TRUNCATE {ENDED}",
    "an ended version twice": f"INSERT INTO {ENDED} SELECT * FROM {ENDED} {ONE}",
    "the time of a snapshot": "UPDATE ppdb_history.snapshot SET t_mjd_tai = t_mjd_tai + 1e-9 "
    "WHERE snapshot_id = 4",
    "a snapshot gone": "DELETE FROM ppdb_history.snapshot WHERE snapshot_id = 4",
    "the digest of the one before": "UPDATE ppdb_history.snapshot SET parent_digest = sha256('x') "
    "WHERE snapshot_id = 4",
    "the clock": "UPDATE ppdb_history.clock SET snapshot_id = 7",
    "how many began": f"{NOTES} begun = begun + 1 WHERE snapshot_id = 4",
    "how many ended": f"{NOTES} ended = ended - 1 WHERE snapshot_id = 9",
    "the digest of what began": f"{NOTES} begun_digest = ~begun_digest WHERE snapshot_id = 4",
    "the digest of what ended": f"{NOTES} ended_digest = ~ended_digest WHERE snapshot_id = 8",
    "what a snapshot wrote": "DELETE FROM ppdb_history.snapshot_table WHERE snapshot_id = 4",
    "a column came later": f"{COLUMNS} snap_from = 5 WHERE (table_name, column_name) = ('DiaObject', 'ra')",
    "columns changed places": f"{COLUMNS} ordinal = 9 - ordinal WHERE table_name = 'DiaObject' "
    "AND ordinal IN (4, 5)",
    "the query of a record": f"UPDATE {STORE} SET natural_adql = 'SELECT ra FROM DiaObject'",
    "its normal form": f"UPDATE {STORE} SET normalised_adql = 'SELECT 1', "
    "query_sha256 = encode(sha256(convert_to('SELECT 1', 'UTF8')), 'hex')",
    "its repeatable form": f"UPDATE {STORE} SET repeatable_adql = replace(repeatable_adql, '9', '8')",
    "the snapshot of a record": f"UPDATE {STORE} SET snapshot_id = 9",
    "the time of a record": f"UPDATE {STORE} SET t_mjd_tai = t_mjd_tai + 1e-9",
    "its columns": f"UPDATE {STORE} SET column_digest = result_digest",
    "its digest": f"UPDATE {STORE} SET result_digest = column_digest",
    "its number of rows": f"UPDATE {STORE} SET row_count = 6",
    "its promise": f"UPDATE {STORE} SET guarantee = 'partial'",
    "its citation": f"UPDATE {STORE} SET citation = replace(citation, '2', '3')",
    "its creator": f"""UPDATE {STORE} SET landing = landing || '{{"creator": "Another"}}'""",
    "its uploads": f"""UPDATE {STORE} SET uploads = '{{"TAP_UPLOAD.x": "sha256:1"}}'""",
    "its identifier": f"UPDATE {STORE} SET pid = 'ppdb.' || reverse(substr(pid, 6))",
    "the record itself": resealed("replace(record, '\"row_count\": 5', '\"row_count\": 6')"),
    "the newest record of it": f"UPDATE {STORE}_revision SET record = replace(record, ' < 9', ' < 8'), "
    "record_sha256 = encode(sha256(convert_to(replace(record, ' < 9', ' < 8'), 'UTF8')), 'hex')",
}


@pytest.mark.parametrize("statement", IN_DATABASE.values(), ids=IN_DATABASE)
def test_any_change_behind_the_triggers_is_found(
    session: sa.Connection, cited: Cited, statement: str
) -> None:
    before = without_disabled(found_in_database(session, cited))
    assert session.exec_driver_sql(statement).rowcount != 0
    pids = session.exec_driver_sql(f"SELECT pid FROM {STORE}").scalars().all()
    assert without_disabled(found_in_database(session, replace(cited, pid=str(pids[0]))))
    # The control: what is found is the change.
    assert before == []


def test_a_stored_record_that_was_edited_is_told_by_every_command(
    cited: Cited, clone_database: Callable[[str], sa.URL]
) -> None:
    whole = replace(cited, url=clone_database(str(cited.url.database)))
    assert run(whole, "verify", cited.pid)[0] == run(whole, "verify-all")[0] == 0
    with connect(whole.url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {STORE} DISABLE TRIGGER ALL".encode())
        connection.execute(f"UPDATE {STORE} SET citation = 'Another'".encode())
        for command in (("verify", cited.pid, "--format", "json"), ("verify-all", "--format", "json")):
            status, said = run(whole, *command)
            assert (status, "the store says otherwise of citation" in said) == (1, True), said
        assert "is not what was captured" in run(whole, "cite", cited.pid)[1]
        connection.execute(f"ALTER TABLE {STORE}_revision DISABLE TRIGGER ALL".encode())
        empty = "record = '{}', record_sha256 = encode(sha256('{}'), 'hex')"
        connection.execute(f"UPDATE {STORE}_revision SET {empty}".encode())
        # What cannot be read does not keep others from being verified.
        status, said = run(whole, "verify-all", "--format", "json")
        assert (status, '"failed"' in said) == (1, True), said


def edited_json(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edited_record(**changes: Any) -> Tamper:
    """Return a function that edits a record and leaves the digest that it states."""
    return lambda path: edited_json(path, lambda content: content.update(changes))


def forged_record(**changes: Any) -> Tamper:
    """Return a function that edits a record and makes its own digest fit."""

    def forge(path: Path) -> None:
        record = ReplayRecord.from_json(path.read_text())
        path.write_text(replace(record, **changes).to_json())

    return forge


def other_snapshot(path: Path) -> None:
    record = ReplayRecord.from_json(path.read_text())
    snapshot = replace(record.snapshot, snapshot_id=record.snapshot.snapshot_id - 1)
    path.write_text(replace(record, snapshot=snapshot).to_json())


def edited_text(old: str, new: str) -> Tamper:
    def edit(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def edited_lines(change: Callable[[list[str]], list[str]]) -> Tamper:
    return lambda path: path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def edited_stream(change: Callable[[bytes], bytes]) -> Tamper:
    """Return a function that edits the packed rows of a VOTable."""

    def edit(path: Path) -> None:
        text = path.read_text()
        (found,) = re.findall(r"<STREAM[^>]*>([^<]*)</STREAM>", text)
        path.write_text(text.replace(found, base64.b64encode(change(base64.b64decode(found))).decode()))

    return edit


def edited_rows(change: Callable[[list[Any]], object]) -> Tamper:
    return lambda path: edited_json(path, lambda content: change(content["rows"]))


RECORD, VOTABLE, CSV, JSON = "record.json", "result.vot", "result.csv", "result.rows.json"
FILES: dict[str, tuple[str, Tamper]] = {
    "the query": (RECORD, edited_record(natural="SELECT ra FROM DiaObject")),
    "the digest": (RECORD, edited_record(digest="sha256:" + "0" * 64)),
    "the software": (RECORD, edited_record(software="another 1.0")),
    "the query, and all made fit": (RECORD, forged_record(natural=QUERY.replace("9", "8"))),
    "the digest, and all made fit": (RECORD, forged_record(digest="sha256:" + "0" * 64)),
    "the number of rows, and all made fit": (RECORD, forged_record(row_count=4)),
    "the snapshot, and all made fit": (RECORD, other_snapshot),
    "the history, and all made fit": (RECORD, forged_record(snapshot_digest="0" * 64)),
    "a byte of a VOTable": (VOTABLE, edited_stream(lambda rows: rows[:-1] + bytes([rows[-1] ^ 1]))),
    "a row less": (VOTABLE, edited_stream(lambda rows: rows[: len(rows) * 4 // 5])),
    "two rows exchanged": (
        VOTABLE,
        edited_stream(lambda rows: rows[len(rows) // 5 :] + rows[: len(rows) // 5]),
    ),
    "INFO query": (
        VOTABLE,
        edited_text('<INFO name="query" value="SELECT', '<INFO name="query" value="select'),
    ),
    "the name of a FIELD": (VOTABLE, edited_text('name="ra"', 'name="dec"')),
    "the end of a VOTable": (VOTABLE, lambda path: path.write_text(path.read_text()[:-40])),
    "a cell of CSV": (CSV, edited_text("4.0", "4.5")),
    "a line of CSV less": (CSV, edited_lines(lambda lines: lines[:-1])),
    "a line of CSV twice": (CSV, edited_lines(lambda lines: [*lines, lines[-1]])),
    "two lines of CSV exchanged": (CSV, edited_lines(lambda lines: [*lines[:-2], lines[-1], lines[-2]])),
    "the names in CSV": (CSV, edited_text("validityStartMjdTai,ra", "ra,validityStartMjdTai")),
    "a cell of JSON": (JSON, edited_rows(lambda rows: rows[0].__setitem__(2, 1.5))),
    "a row of JSON less": (JSON, edited_rows(list.pop)),
    "a value of JSON lost": (JSON, edited_rows(lambda rows: rows[0].__setitem__(2, None))),
}


def verified_file(cited: Cited, name: str, folder: Path) -> int:
    """Return the exit status with which a file is verified: without a database where that is enough."""
    path = folder / name
    match name:
        case "record.json":
            return run(cited, "verify", path)[0]
        case "result.vot":
            return run(cited, "verify", path, "--offline", database=False)[0]
        case _:
            record = folder / RECORD
            return run(cited, "verify", record, "--rows", path, "--offline", database=False)[0]


@pytest.mark.parametrize(("name", "tamper"), FILES.values(), ids=FILES)
def test_any_change_of_a_file_is_found(cited: Cited, name: str, tamper: Tamper, tmp_path: Path) -> None:
    for file in cited.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert verified_file(cited, name, tmp_path) == 0
    before = (tmp_path / name).read_bytes()
    tamper(tmp_path / name)
    assert (tmp_path / name).read_bytes() != before
    assert verified_file(cited, name, tmp_path) == 1


def test_what_was_stored_by_this_release_agrees_with_its_record(cited: Cited) -> None:
    with connect(cited.url, autocommit=True) as connection:
        connection.execute("SET extra_float_digits = -5")
        assert stored_problems(connection, cited.pid) == ()
        assert find_stored(connection, cited.pid).record.row_count == 5
