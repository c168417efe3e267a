"""Which chunks are to be copied, and update records as plain values: no database."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.dax.apdb import (
    ApdbCloseDiaObjectValidityRecord,
    ApdbReassignDiaSourceToDiaObjectRecord,
    ApdbUpdateRecord,
    ApdbWithdrawDiaForcedSourceRecord,
)

from ppdb_replay.errors import UnknownUpdateRecordError
from ppdb_replay.replication.chunk import (
    IMPLIED_ORDER,
    Chunk,
    Reason,
    UpdateRecord,
    attributed_records,
    convert_record,
    convert_records,
    plan_chunks,
)

_CHUNKS = st.lists(
    st.builds(Chunk, st.integers(0, 40), st.floats(0, 100), st.integers(0, 3).map(lambda n: UUID(int=n))),
    unique_by=lambda one: one.id,
)
_COPIED = st.dictionaries(st.integers(0, 40), st.integers(0, 3).map(lambda n: UUID(int=n)))


@given(_CHUNKS, _COPIED)
def test_what_differs_is_planned_and_nothing_else(chunks: Sequence[Chunk], copied: dict[int, UUID]) -> None:
    planned = plan_chunks(chunks, copied, now_tai_s=1000.0, settle_s=0.0)

    assert [one.chunk.id for one in planned] == sorted(
        one.id for one in chunks if copied.get(one.id) != one.unique_id
    )
    for one in planned:
        new = one.chunk.id not in copied
        late = any(one.chunk.id < known for known in copied)
        assert one.reason is ((Reason.LATE if late else Reason.NEW) if new else Reason.TOUCHED)


@given(_CHUNKS, _COPIED)
def test_what_is_planned_is_copied_when_it_is_done(chunks: Sequence[Chunk], copied: dict[int, UUID]) -> None:
    planned = plan_chunks(chunks, copied, now_tai_s=1000.0, settle_s=0.0)
    done = copied | {one.chunk.id: one.chunk.unique_id for one in planned}

    assert plan_chunks(chunks, done, now_tai_s=1000.0, settle_s=0.0) == ()


@given(_CHUNKS, st.floats(0, 200), st.floats(0, 200))
def test_no_chunk_is_planned_before_one_that_has_not_settled(
    chunks: Sequence[Chunk], now_tai_s: float, settle_s: float
) -> None:
    planned = plan_chunks(chunks, {}, now_tai_s=now_tai_s, settle_s=settle_s)

    ordered = sorted(chunks, key=lambda one: one.id)
    assert [one.chunk for one in planned] == ordered[: len(planned)]
    assert all(now_tai_s - one.chunk.last_update_tai_s >= settle_s for one in planned)
    if len(planned) < len(ordered):
        assert now_tai_s - ordered[len(planned)].last_update_tai_s < settle_s


def test_a_record_has_its_key_and_its_new_values_apart() -> None:
    moved = ApdbReassignDiaSourceToDiaObjectRecord(
        update_time_ns=7, update_order=1, diaSourceId=5, ra=0.0, dec=0.0, midpointMjdTai=0.0, diaObjectId=6
    )
    forced = ApdbWithdrawDiaForcedSourceRecord(
        update_time_ns=7,
        update_order=0,
        diaObjectId=6,
        visit=8,
        detector=9,
        ra=0.0,
        dec=0.0,
        midpointMjdTai=0.0,
        timeWithdrawnMjdTai=61_000.5,
    )

    assert convert_records([moved, forced]) == (
        UpdateRecord(
            update_time_ns=7,
            update_order=0,
            update_type="withdraw_diaforcedsource",
            diaObjectId=6,
            visit=8,
            detector=9,
            timeWithdrawnMjdTai=61_000.5,
        ),
        UpdateRecord(
            update_time_ns=7,
            update_order=1,
            update_type="reassign_diasource_to_diaobject",
            diaSourceId=5,
            newDiaObjectId=6,
        ),
    )


@pytest.mark.parametrize("number", [None, 3])
def test_the_end_of_validity_may_come_with_a_number_of_sources(number: int | None) -> None:
    record = ApdbCloseDiaObjectValidityRecord(
        update_time_ns=1,
        update_order=0,
        diaObjectId=2,
        ra=0.0,
        dec=0.0,
        validityEndMjdTai=61_000.0,
        nDiaSources=number,
    )

    assert convert_record(record).nDiaSources == number
    assert convert_record(record).validityEndMjdTai == 61_000.0


def test_a_kind_of_record_that_is_not_known_is_refused() -> None:
    class Merge(ApdbUpdateRecord, update_type="merge_diaobjects"):
        def record_id(self) -> tuple[tuple[str, int], ...]:
            return ()

        def record_payload(self) -> tuple[tuple[str, int], ...]:
            return ()

    with pytest.raises(UnknownUpdateRecordError, match="merge_diaobjects"):
        convert_record(Merge(update_time_ns=0, update_order=0))


def test_rows_that_were_attributed_stand_for_records() -> None:
    columns = ("diaSourceId", "ssObjectId", "ssObjectReassocTimeMjdTai")
    rows = [(1, None, None), (2, 77, 61_041.5), (3, 0, 61_041.5), (4, 78, None)]

    (record,) = attributed_records(columns, rows)

    assert (record.diaSourceId, record.ssObjectId) == (2, 77)
    assert record.update_time_ns == int((61_041.5 - 40_587) * 86_400) * 10**9
    assert record.update_order == IMPLIED_ORDER
