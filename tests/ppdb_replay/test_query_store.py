"""Published queries: one identifier for one query and result, and nothing of it changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from adql import parse
from ppdb_replay import Guarantee, Level, capture, replay
from ppdb_replay.errors import (
    NotCitableError,
    PpdbNotReadyError,
    QueryStoreRefusedError,
    ReplayRecordError,
    SnapshotUnknownError,
    StoredQueryUnknownError,
)
from ppdb_replay.query_store.checks import StoredCheck, note_check
from ppdb_replay.query_store.store import (
    add_revision,
    change_collection,
    find_stored,
    list_pids,
    load_record,
    read_collection,
    store_query,
)
from ppdb_replay.query_store.stored_query import Collection, bibtex, minted_pid
from ppdb_replay.replaying.catalog import catalog_at
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.rewriting.classify import normalised, query_sha256
from tests.ppdb_replay.changing_ppdb import Archive, change
from tests.ppdb_replay.query_forms import FORMS
from tests.ppdb_replay.votable_results import NASTY, as_votable, made_up_result

Connection = psycopg.Connection[Any]

OBJECTS = "SELECT diaObjectId, validityStartMjdTai, ra FROM DiaObject WHERE ra >= 0 AND dec > -90"
SAME = (
    'select DIAOBJECTID, validitystartmjdtai, RA\n  from ppdb.DiaObject -- mine\n where ( "dec" > -90 )'
    " and ra>=0"
)
COLLECTION = Collection(
    title="PPDB & Friends",
    creator="Rubin_Observatory",
    publisher="Data Centre",
    superset="ivo://example.org/ppdb",
    pid_prefix="10.5072/ppdb.",
    landing_url="https://example.org/q/",
)


def connect(url: sa.URL, **options: Any) -> Connection:
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(target, autocommit=True, **options)


@pytest.fixture
def ppdb(ppdb_database: sa.URL) -> Iterator[Connection]:
    """Return a PPDB that has changed once."""
    with connect(ppdb_database) as connection:
        change(connection, 1)
        yield connection


def test_the_same_query_written_otherwise_has_the_same_normal_form(ppdb_archive: Archive) -> None:
    catalog = ppdb_archive.catalog
    texts = [
        "SELECT ra FROM DiaObject AS o WHERE ra < 1 AND (dec > 2 OR diaObjectId IN (2, 1)) ORDER BY ra",
        'select RA from PPDB.diaobject O where (DIAOBJECTID in (1, 2) or "dec" > 2) and ra<1 order by Ra --',
    ]
    first, second = (normalised(parse(text), catalog) for text in texts)
    assert first == second
    assert len(query_sha256(first)) == 64
    others = [
        texts[0].replace("< 1", "< 2"),
        texts[0].replace("ORDER BY ra", ""),
        texts[0].replace("AND", "OR"),
        texts[0].replace("dec > 2", "dec < 2"),
    ]
    assert len({first, *(normalised(parse(text), catalog) for text in others)}) == 5
    strings = [f"SELECT ra FROM DiaObject WHERE 'a' = '{text}'" for text in ("A", "a", "a ")]  # noqa: S608
    assert len({normalised(parse(text), catalog) for text in strings}) == 3


@pytest.mark.parametrize("name", FORMS)
def test_the_normal_form_returns_the_same_rows_and_is_its_own_normal_form(
    name: str, ppdb_archive: Archive
) -> None:
    text = normalised(parse(FORMS[name]), ppdb_archive.catalog)
    assert normalised(parse(text), ppdb_archive.catalog) == text
    connection = ppdb_archive.connection
    natural, normal = (capture(connection, one, exact_sums=True) for one in (FORMS[name], text))
    assert normal.rows == natural.rows
    # A common table expression that hides a table is not taken for it.
    assert [of.datatype for of in normal.columns] == [of.datatype for of in natural.columns]


def test_a_stored_query_holds_all_that_is_recommended(ppdb: Connection) -> None:
    change_collection(ppdb, COLLECTION)
    result = capture(ppdb, OBJECTS, max_rows=20)
    record = result.record
    stored = store_query(ppdb, record)
    with psycopg.Cursor(ppdb, row_factory=psycopg.rows.dict_row) as cursor:
        (row,) = cursor.execute("SELECT * FROM ppdb_history.stored_query").fetchall()
    assert row["pid"] == stored.pid
    assert row["pid"].startswith("10.5072/ppdb.")
    assert (row["natural_adql"], row["repeatable_adql"]) == (OBJECTS, record.repeatable)
    assert row["query_sha256"] == query_sha256(row["normalised_adql"])
    assert (row["snapshot_id"], row["t_mjd_tai"]) == (
        record.snapshot.snapshot_id,
        record.snapshot.t_mjd_tai,
    )
    assert row["result_digest"] == digest_of_result(result.columns, result.rows)
    assert row["column_digest"] == digest_of_result(result.columns, ())
    assert (row["row_count"], row["max_rows"], row["uploads"]) == (len(result.rows), 20, {})
    assert (row["guarantee"], row["schema_version"]) == ("exact", record.schema_version)
    assert row["superset"] == COLLECTION.superset
    assert row["citation"] == stored.citation
    assert row["landing"] == stored.landing
    assert row["stored_mjd_tai"] >= record.snapshot.t_mjd_tai
    assert row["stored_by"] == "postgres"
    assert find_stored(ppdb, stored.pid) == stored
    assert stored.record == record


def test_the_same_query_with_the_same_result_keeps_its_identifier(ppdb: Connection) -> None:
    first = store_query(ppdb, capture(ppdb, OBJECTS).record)
    assert store_query(ppdb, capture(ppdb, OBJECTS).record) == first
    # A later snapshot in which nothing of it has changed, and another spelling of the query.
    ppdb.execute('UPDATE ppdb."DiaSource" SET "psfFlux" = "psfFlux" + 1')
    again = capture(ppdb, SAME)
    assert again.record.snapshot.snapshot_id > first.record.snapshot.snapshot_id
    assert store_query(ppdb, again.record) == first
    assert list_pids(ppdb) == (first.pid,)


def test_another_result_or_another_query_gets_an_identifier_of_its_own(ppdb: Connection) -> None:
    records = [
        capture(ppdb, OBJECTS).record,
        capture(ppdb, OBJECTS, max_rows=1000).record,
        capture(ppdb, OBJECTS + " AND ra < 400").record,
        capture(ppdb, OBJECTS.replace("ra FROM", "ra AS alpha FROM")).record,
    ]
    change(ppdb, 2)
    records.append(capture(ppdb, OBJECTS).record)
    pids = [store_query(ppdb, record).pid for record in records]
    assert len(set(pids)) == 5
    assert list_pids(ppdb) == tuple(pids)


def test_identifiers_that_papers_hold_are_minted_by_every_release() -> None:
    pid = minted_pid(made_up_result().record, "SELECT n FROM t", "ppdb.")
    assert pid == "ppdb.xlavdvt7qp6tut73e2shmrfh"


def test_two_that_store_the_same_at_one_moment_get_one_identifier(
    ppdb: Connection, ppdb_database: sa.URL
) -> None:
    record = capture(ppdb, OBJECTS).record
    pids: list[str] = []
    barrier = threading.Barrier(4)

    def store() -> None:
        with connect(ppdb_database) as connection:
            barrier.wait(timeout=30)
            pids.append(store_query(connection, record).pid)

    threads = [threading.Thread(target=store) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 4
    assert list_pids(ppdb) == (pids[0],)


def test_citation_and_landing_data_say_what_was_asked_and_when(ppdb: Connection) -> None:
    change_collection(ppdb, COLLECTION)
    assert read_collection(ppdb) == COLLECTION
    stored = store_query(ppdb, capture(ppdb, OBJECTS).record)
    snapshot = stored.record.snapshot
    (date,) = ppdb.execute(
        "SELECT to_char(timestamp '1858-11-17' + %s * interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI')",
        [snapshot.t_mjd_tai],
    ).fetchone() or ("",)
    parts = ["Rubin_Observatory", "PPDB & Friends", f"snapshot {snapshot.snapshot_id}", date, "Data Centre"]
    parts += [f"MJD {snapshot.t_mjd_tai!r}", stored.pid, stored.record.digest]
    assert [part for part in parts if part not in stored.citation] == []
    landing = json.loads(json.dumps(stored.landing))
    assert landing["url"] == "https://example.org/q/" + stored.pid
    assert landing["query"]["natural"] == OBJECTS
    assert landing["snapshot"]["t_mjd_tai"] == snapshot.t_mjd_tai
    assert landing["isPartOf"] == COLLECTION.superset
    assert landing["result"]["columns"][0]["name"] == "diaObjectId"
    entry = bibtex(stored)
    assert entry.startswith("@misc{10.5072/ppdb.")
    assert "PPDB \\& Friends" in entry
    assert "Rubin\\_Observatory" in entry
    # What is cited already stays as it is cited.
    change_collection(ppdb, replace(COLLECTION, title="Another"))
    assert find_stored(ppdb, stored.pid).citation == stored.citation


def test_a_promise_that_is_not_exact_is_part_of_the_citation(ppdb: Connection) -> None:
    stored = store_query(
        ppdb, capture(ppdb, "SELECT band, AVG(psfFlux) AS f FROM DiaSource GROUP BY band").record
    )
    assert "Repeatable: exact-except-float-sums." in stored.citation
    assert stored.landing["guarantee"]["reasons"]


def test_what_does_not_come_again_gets_no_identifier(ppdb: Connection) -> None:
    record = capture(ppdb, OBJECTS).record
    wrong = [
        (replace(record, digest="sha256:" + "0" * 64), "does not return the rows"),
        (replace(record, natural=OBJECTS + " AND ra > 1"), "is not that of its natural one"),
        (replace(record, snapshot_digest="00" * 32), "were changed since"),
        (replace(record, guarantee=Guarantee(Level.NONE, ("RAND()",))), "cannot be repeated: RAND"),
    ]
    for one, problem in wrong:
        with pytest.raises(NotCitableError, match=problem):
            store_query(ppdb, one)
    with pytest.raises(SnapshotUnknownError):
        store_query(ppdb, replace(record, snapshot=replace(record.snapshot, snapshot_id=10**6)))
    assert list_pids(ppdb) == ()


def test_stored_queries_can_neither_be_changed_nor_deleted(ppdb: Connection) -> None:
    store_query(ppdb, capture(ppdb, OBJECTS).record)
    for table in ("stored_query", "stored_query_revision", "stored_query_check"):
        for statement in ("UPDATE {} SET pid = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="stay as they are"):
                ppdb.execute(sql.SQL(statement).format(sql.Identifier("ppdb_history", table)))
    # Nor can one be added whose digest is not that of its text.
    with pytest.raises(psycopg.errors.CheckViolation, match="record_sha256"):
        ppdb.execute(
            "INSERT INTO ppdb_history.stored_query_revision (pid, revision, record, record_sha256, software)"
            " VALUES ('x', 1, 'x', 'y', '')"
        )


def test_readers_read_the_store_and_write_nothing(ppdb: Connection) -> None:
    stored = store_query(ppdb, capture(ppdb, OBJECTS).record)
    other = capture(ppdb, OBJECTS + " AND ra < 5").record
    ppdb.execute("GRANT SELECT ON ALL TABLES IN SCHEMA ppdb TO tapdb_reader")
    ppdb.execute("SET ROLE tapdb_reader")
    assert replay(ppdb, find_stored(ppdb, stored.pid).record).is_identical
    for action in (
        lambda: store_query(ppdb, other),
        lambda: change_collection(ppdb, COLLECTION),
        lambda: note_check(ppdb, StoredCheck(stored.pid, "identical")),
        lambda: add_revision(ppdb, stored.pid, stored.record),
    ):
        with pytest.raises(QueryStoreRefusedError, match=r"a DBA grants SELECT .* and INSERT"):
            action()
    ppdb.execute("RESET ROLE")
    ppdb.execute("GRANT INSERT ON ppdb_history.stored_query TO tapdb_reader")
    ppdb.execute("SET ROLE tapdb_reader")
    assert list_pids(ppdb) != (store_query(ppdb, other).pid,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ppdb.execute("DELETE FROM ppdb_history.stored_query")


def test_a_record_comes_from_json_a_votable_or_an_identifier(ppdb: Connection, tmp_path: Path) -> None:
    note = NASTY.replace("'", "''")
    result = capture(ppdb, f"SELECT ra, '{note}' AS note FROM DiaObject")  # noqa: S608 - ADQL
    record = result.record
    (tmp_path / "r.json").write_text("\ufeff" + record.to_json(), encoding="utf-8")
    (tmp_path / "plain.json").write_text(record.to_json(), encoding="utf-8")
    (tmp_path / "r.xml").write_bytes(b"\xef\xbb\xbf" + as_votable(result))
    stored = store_query(ppdb, record)
    for what in (str(tmp_path / "plain.json"), str(tmp_path / "r.xml"), stored.pid):
        assert load_record(ppdb, what) == record
    with pytest.raises(ReplayRecordError, match="no JSON"):
        load_record(ppdb, str(tmp_path / "r.json"))
    with pytest.raises(StoredQueryUnknownError, match="no stored query is called"):
        load_record(ppdb, "ppdb.nothing")


def test_a_connection_with_transactions_of_its_own_is_left_outside_of_one(ppdb: Connection) -> None:
    record = capture(ppdb, OBJECTS).record
    ppdb.autocommit = False
    stored = store_query(ppdb, record)
    assert ppdb.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    ppdb.rollback()
    assert find_stored(ppdb, stored.pid) == stored
    assert replay(ppdb, stored.record).is_identical


def test_a_database_without_a_store_says_so(database_url: sa.URL) -> None:
    with connect(database_url) as connection:
        for action in (lambda: list_pids(connection), lambda: find_stored(connection, "x")):
            with pytest.raises(PpdbNotReadyError, match="no query store"):
                action()


def test_names_of_tables_are_completed_for_the_snapshot_of_the_record(ppdb: Connection) -> None:
    record = capture(ppdb, OBJECTS).record
    catalog = catalog_at(ppdb, record.snapshot.snapshot_id)
    assert "FROM ppdb.diaobject WHERE dec > -90 AND ra >= 0" in normalised(parse(OBJECTS), catalog)
