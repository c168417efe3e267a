"""What replication makes of the cases in which dax_apdb's and dax_ppdb's back ends disagree, or go wrong.

T1 to T8 and T10 are the numbers of docs/ppdb-replication.md; T9 is about another back end, T10 is tested
with the books.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.dax.apdb import DiaObjectId, DiaSourceId
from psycopg import sql

from examples.apdb import (
    Survey,
    attribute_to_solar_system,
    close_validity,
    make_visit,
    reassociate,
    store_visit,
    update_all_kinds,
    withdraw_forced_sources,
    withdraw_sources,
)
from examples.apdb.visits import tai
from ppdb_replay.errors import PpdbRefusedError
from ppdb_replay.replication.apdb_source import list_chunks, read_chunk, read_columns
from ppdb_replay.replication.chunk import Reason, TableRows
from ppdb_replay.replication.chunk_writer import ChunkWriter, open_writer, write_chunk
from ppdb_replay.replication.replicate import plan_replication, replicate
from ppdb_replay.replication.target import find_target
from tests.ppdb_replay.replication_oracle import Content, Oracle, read_content

Connection = psycopg.Connection[Any]


def _copy(survey: Survey, ppdb: Connection) -> list[tuple[int, Reason]]:
    planned = plan_replication(survey.replica, ppdb)
    replicate(survey.replica, ppdb)
    return [(one.chunk.id, one.reason) for one in planned]


def _writer(survey: Survey, connection: Connection) -> ChunkWriter:
    with connection.transaction():
        target = find_target(connection, "ppdb", read_columns(survey.replica))
    return open_writer(connection, target)


def _write(survey: Survey, writer: ChunkWriter, chunk_id: int) -> None:
    (chunk,) = (one for one in list_chunks(survey.replica) if one.id == chunk_id)
    assert write_chunk(writer, read_chunk(survey.replica, chunk)) is not None


def _versions(content: Content, object_id: int) -> list[tuple[Any, Any, Any]]:
    rows = sorted(content["DiaObject"].items())
    return [
        (row["validityStartMjdTai"], row["validityEndMjdTai"], row["nDiaSources"])
        for key, row in rows
        if key[0] == object_id
    ]


def _assert_one_version_at_a_time(content: Content) -> None:
    for (one, start), (other, following) in pairwise(sorted(content["DiaObject"])):
        if one == other:
            end = content["DiaObject"][one, start]["validityEndMjdTai"]
            assert end is not None
            assert start < end <= following


def _much_observed(survey: Survey) -> int:
    return max(survey.histories, key=lambda one: len(survey.histories[one]))


def test_t1_a_chunk_that_comes_late_is_copied(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey, make_visit(0))
    store_visit(survey, make_visit(8))
    (first, _), (third, _) = _copy(survey, ppdb)
    store_visit(survey, make_visit(4))

    ((second, reason),) = _copy(survey, ppdb)

    assert first < second < third
    assert reason is Reason.LATE
    assert len({row["visit"] for row in read_content(ppdb)["DiaSource"].values()}) == 3


def test_t2_a_late_version_takes_its_place_between_others(survey: Survey, ppdb: Connection) -> None:
    oracle = Oracle()
    for number in (0, 8, 4):
        store_visit(survey, make_visit(number))
        oracle.take(survey.replica, [chunk for chunk, _ in _copy(survey, ppdb)])

    content = read_content(ppdb)
    _assert_one_version_at_a_time(content)
    starts = [make_visit(number).processed_mjd_tai for number in (0, 4, 8)]
    found = _versions(content, _much_observed(survey))
    assert [(start, end) for start, end, _ in found] == [
        (pytest.approx(starts[0]), pytest.approx(starts[1])),
        (pytest.approx(starts[1]), pytest.approx(starts[2])),
        (pytest.approx(starts[2]), None),
    ]
    assert content == oracle.content()


def test_t2_is_what_the_apdb_itself_makes_wrong(survey: Survey, ppdb: Connection) -> None:
    # The control: were the APDB's own table right, the test above would show nothing.
    for number in (0, 8, 4):
        store_visit(survey, make_visit(number))

    with pytest.raises(AssertionError):
        _assert_one_version_at_a_time(read_content(ppdb, "apdb"))


def test_t3_a_chunk_that_is_touched_again_is_copied_again(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey, make_visit(0))
    ((chunk, first),) = _copy(survey, ppdb)
    before = read_content(ppdb)
    store_visit(survey, make_visit(1))

    assert _copy(survey, ppdb) == [(chunk, Reason.TOUCHED)]

    assert first is Reason.NEW
    after = read_content(ppdb)
    assert len(after["DiaSource"]) > len(before["DiaSource"])
    assert before["DiaSource"].items() <= after["DiaSource"].items()
    assert len({row["visit"] for row in after["DiaSource"].values()}) == 2
    assert _copy(survey, ppdb) == []


def test_a_row_that_was_measured_again_is_not_taken_and_counted(survey: Survey, ppdb: Connection) -> None:
    # Forced sources are of objects that were there before.
    for number in range(2):
        store_visit(survey, make_visit(number))
    _copy(survey, ppdb)
    before = read_content(ppdb)
    (chunk,) = list_chunks(survey.replica)
    data = read_chunk(survey.replica, chunk)
    writer = _writer(survey, ppdb)
    again = replace(chunk, unique_id=uuid4())
    copied = write_chunk(writer, replace(data, chunk=again))
    assert copied is not None
    assert copied.dropped == {}
    for name in ("DiaSource", "DiaForcedSource"):
        table = data.tables[name]
        rows = [list(row) for row in table.rows]
        rows[0][table.columns.index("psfFlux")] = -1.0
        data = replace(data, tables={**data.tables, name: TableRows(table.columns, rows)})
    copied = write_chunk(writer, replace(data, chunk=replace(chunk, unique_id=uuid4())))
    assert copied is not None
    assert copied.dropped == {"DiaSource": 1, "DiaForcedSource": 1}
    assert read_content(ppdb) == before


def test_t4_a_chunk_that_is_read_after_later_updates_is_copied(survey: Survey, ppdb: Connection) -> None:
    for _ in range(3):
        store_visit(survey)
    closed = close_validity(survey, number=2)
    update_all_kinds(survey)

    _copy(survey, ppdb)

    content = read_content(ppdb)
    _assert_one_version_at_a_time(content)
    assert all(_versions(content, one)[-1][1] is not None for one in closed)


def test_t5_a_source_of_a_solar_system_object_has_no_dia_object(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey)
    _copy(survey, ppdb)
    (found,) = attribute_to_solar_system(survey)

    _copy(survey, ppdb)

    row = read_content(ppdb)["DiaSource"][found.source_id,]
    assert row["diaObjectId"] is None
    assert row["ssObjectId"] > 0
    assert row["ssObjectReassocTimeMjdTai"] == survey.now_mjd_tai


def test_t5_what_the_apdb_sends_no_record_of_is_taken_from_the_row(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey, make_visit(0))
    _copy(survey, ppdb)
    source = survey.transients[0].source_id
    survey.apdb.reassignDiaSources({source: 4711})
    assert _copy(survey, ppdb) == []
    # The chunk is read again since something else was written to it.
    store_visit(survey, make_visit(1))

    _copy(survey, ppdb)

    row = read_content(ppdb)["DiaSource"][source,]
    assert (row["diaObjectId"], row["ssObjectId"]) == (None, 4711)


def test_t5_a_source_that_comes_back_from_a_solar_system_object_has_that_no_more(
    survey: Survey, ppdb: Connection
) -> None:
    store_visit(survey)
    (found,) = attribute_to_solar_system(survey)
    identity = DiaSourceId(diaSourceId=found.source_id, ra=0.0, dec=0.0, midpointMjdTai=0.0)
    owner = next(iter(survey.histories))
    survey.now_mjd_tai += 0.02
    # Without this the APDB stops: it looks for the object 0.
    survey.apdb.reassignDiaSourcesToDiaObjects({identity: owner}, decrement_nDiaSources=False)

    _copy(survey, ppdb)

    row = read_content(ppdb)["DiaSource"][found.source_id,]
    assert (row["diaObjectId"], row["ssObjectId"], row["ssObjectReassocTimeMjdTai"]) == (owner, None, None)


def test_a_source_belongs_to_the_object_that_it_was_given_to_last_and_to_no_other(
    survey: Survey, ppdb: Connection
) -> None:
    """All orders of three changes between DiaObjects and solar system objects."""
    for number in range(4):
        store_visit(survey, make_visit(number))
    sources = survey.transients[:8]
    assert len(sources) == 8
    owners = list(survey.histories)[:2]
    for turn in range(3):
        to_solar_system = [one for place, one in enumerate(sources) if place >> turn & 1]
        attribute_to_solar_system(survey, detections=to_solar_system)
        survey.now_mjd_tai += 0.02
        back = [one for one in sources if one not in to_solar_system]
        identities = [
            DiaSourceId(diaSourceId=one.source_id, ra=0.0, dec=0.0, midpointMjdTai=0.0) for one in back
        ]
        new_owners = dict.fromkeys(identities, owners[turn % 2])
        survey.apdb.reassignDiaSourcesToDiaObjects(new_owners, decrement_nDiaSources=False)
        if turn != 1:
            _copy(survey, ppdb)

    rows = read_content(ppdb)["DiaSource"]
    assert rows == _expected(survey)["DiaSource"]
    for place, source in enumerate(sources):
        row = rows[source.source_id,]
        given_last = "ssObjectId" if place >> 2 else "diaObjectId"
        filled = {name for name in ("diaObjectId", "ssObjectId") if row[name] is not None}
        assert filled == {given_last}
        assert (row["ssObjectReassocTimeMjdTai"] is None) == (given_last == "diaObjectId")


def _expected(survey: Survey) -> Content:
    oracle = Oracle()
    oracle.take(survey.replica, [one.id for one in list_chunks(survey.replica)])
    return oracle.content()


def test_t6_a_source_of_a_solar_system_object_can_be_updated(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey)
    (found,) = attribute_to_solar_system(survey)
    _copy(survey, ppdb)
    survey.now_mjd_tai += 0.02
    survey.apdb.withdrawDiaSources(
        [DiaSourceId(diaSourceId=found.source_id, ra=0.0, dec=0.0, midpointMjdTai=0.0)]
    )

    _copy(survey, ppdb)

    row = read_content(ppdb)["DiaSource"][found.source_id,]
    assert row["timeWithdrawnMjdTai"] == survey.now_mjd_tai
    assert row["ssObjectId"] > 0


def test_t7_a_number_of_sources_is_about_the_version_in_force(survey: Survey, ppdb: Connection) -> None:
    for _ in range(6):
        store_visit(survey)
    _copy(survey, ppdb)
    before = read_content(ppdb)
    (moved,) = reassociate(survey)

    _copy(survey, ppdb)

    old, new = _versions(before, moved.object_id), _versions(read_content(ppdb), moved.object_id)
    assert len(old) > 1
    assert new[:-1] == old[:-1]
    assert new[-1] == (old[-1][0], None, old[-1][2] + 1)


def test_t7_an_update_between_two_versions_of_a_chunk_is_about_the_first(
    survey: Survey, ppdb: Connection
) -> None:
    # The night's first two visits are in one chunk, and the update happened between them.
    store_visit(survey, make_visit(4))
    store_visit(survey, make_visit(8))
    (moved,) = reassociate(survey)
    following = make_visit(9)
    assert survey.now_mjd_tai < following.processed_mjd_tai
    store_visit(survey, following)

    _copy(survey, ppdb)

    *_, updated, newest = _versions(read_content(ppdb), moved.object_id)
    assert updated[1] == newest[0]
    assert (updated[2], newest[2]) == (3, 4)


def test_t8_the_end_of_validity_is_that_of_the_newest_version(survey: Survey, ppdb: Connection) -> None:
    for _ in range(6):
        store_visit(survey)
    _copy(survey, ppdb)
    object_id = _much_observed(survey)
    before = _versions(read_content(ppdb), object_id)
    survey.now_mjd_tai += 0.02
    survey.apdb.setValidityEnd([DiaObjectId(diaObjectId=object_id, ra=0.0, dec=0.0)], tai(survey.now_mjd_tai))

    _copy(survey, ppdb)

    after = _versions(read_content(ppdb), object_id)
    assert len(before) > 2
    assert after[:-1] == before[:-1]
    assert after[-1] == (before[-1][0], survey.now_mjd_tai, before[-1][2])


def test_an_object_that_was_closed_may_come_back(survey: Survey, ppdb: Connection) -> None:
    for _ in range(2):
        store_visit(survey)
    object_id = _much_observed(survey)
    survey.now_mjd_tai += 0.02
    ended = survey.now_mjd_tai
    survey.apdb.setValidityEnd([DiaObjectId(diaObjectId=object_id, ra=0.0, dec=0.0)], tai(ended))
    store_visit(survey, make_visit(8))

    _copy(survey, ppdb)

    *_, closed, back = _versions(read_content(ppdb), object_id)
    assert closed[1] == ended
    assert back[:2] == (pytest.approx(make_visit(8).processed_mjd_tai), None)


def test_records_that_come_before_their_rows_wait_for_them(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey, make_visit(0))
    survey.now_mjd_tai += 1.0
    (source,) = withdraw_sources(survey)
    (closed,) = close_validity(survey)
    rows, *later = (one.id for one in list_chunks(survey.replica))
    writer = _writer(survey, ppdb)
    for chunk in later:
        _write(survey, writer, chunk)
    assert read_content(ppdb) == {"DiaObject": {}, "DiaSource": {}, "DiaForcedSource": {}}

    _write(survey, writer, rows)

    content = read_content(ppdb)
    assert content["DiaSource"][source.source_id,]["timeWithdrawnMjdTai"] is not None
    assert _versions(content, closed)[-1][1] == survey.now_mjd_tai


def test_the_latest_update_counts_whatever_comes_last(survey: Survey, ppdb: Connection) -> None:
    for _ in range(2):
        store_visit(survey)
    source = survey.transients[0]
    identity = DiaSourceId(diaSourceId=source.source_id, ra=0.0, dec=0.0, midpointMjdTai=0.0)
    owners = [one for one in survey.histories if len(survey.histories[one]) > 1][:2]
    for owner in owners:
        survey.now_mjd_tai += 1.0
        survey.apdb.reassignDiaSourcesToDiaObjects({identity: owner})
    *rows, first, second = (one.id for one in list_chunks(survey.replica))
    writer = _writer(survey, ppdb)

    for chunk in (*rows, second, first):
        _write(survey, writer, chunk)

    assert read_content(ppdb)["DiaSource"][source.source_id,]["diaObjectId"] == owners[1]


def test_sources_are_the_same_in_whatever_order_chunks_come(
    plain_survey: Survey, plain_survey_database: sa.URL
) -> None:
    survey = plain_survey
    for number in range(6):
        store_visit(survey)
        survey.now_mjd_tai += 0.5
        if number:
            reassociate(survey)
            attribute_to_solar_system(survey)
            withdraw_sources(survey)
            withdraw_forced_sources(survey)
    chunks = [one.id for one in list_chunks(survey.replica)]
    assert len(chunks) > 6
    url = plain_survey_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        writer = _writer(survey, connection)

        def written(order: list[int]) -> Content:
            names = ("DiaObject", "DiaSource", "DiaForcedSource", "PpdbReplicaChunk", "PpdbUpdateRecord")
            tables = sql.SQL(", ").join(sql.Identifier("ppdb", one) for one in names)
            with connection.transaction():
                connection.execute(sql.SQL("TRUNCATE {}").format(tables))
            for chunk in order:
                _write(survey, writer, chunk)
            return read_content(connection)

        expected = written(chunks)

        @settings(max_examples=8)
        @given(st.integers(0, 2**32))
        def in_some_order(seed: int) -> None:
            content = written(Random(seed).sample(chunks, len(chunks)))
            assert content["DiaSource"] == expected["DiaSource"]
            assert content["DiaForcedSource"] == expected["DiaForcedSource"]
            _assert_one_version_at_a_time(content)

        in_some_order()


def test_rows_that_a_policy_hides_from_the_replicator_are_not_passed_over(
    survey: Survey, ppdb: Connection, connect_ppdb: Callable[[], Connection]
) -> None:
    for _ in range(3):
        store_visit(survey)
    oracle = Oracle()
    oracle.take(survey.replica, [chunk for chunk, _ in _copy(survey, ppdb)])
    with ppdb.transaction():
        ppdb.execute(
            """
            CREATE ROLE cut_writer; GRANT USAGE ON SCHEMA ppdb TO cut_writer;
            GRANT ALL ON ALL TABLES IN SCHEMA ppdb TO cut_writer;
            ALTER TABLE ppdb."DiaObject" ENABLE ROW LEVEL SECURITY;
            CREATE POLICY part ON ppdb."DiaObject" USING ("diaObjectId" % 2 = 0) WITH CHECK (true)
            """
        )
    store_visit(survey)
    update_all_kinds(survey)
    store_visit(survey)
    before = read_content(ppdb)
    other = connect_ppdb()
    other.execute("SET ROLE cut_writer")
    other.commit()
    try:
        with pytest.raises(PpdbRefusedError, match="row-level security policy"):
            replicate(survey.replica, other)
        assert read_content(ppdb) == before
        with ppdb.transaction():
            ppdb.execute("ALTER ROLE cut_writer BYPASSRLS")
        oracle.take(survey.replica, [chunk for chunk, _ in _copy(survey, other)])
        assert read_content(ppdb) == oracle.content()
    finally:
        other.close()
        ppdb.rollback()
        with ppdb.transaction():
            ppdb.execute("DROP OWNED BY cut_writer; DROP ROLE cut_writer")
