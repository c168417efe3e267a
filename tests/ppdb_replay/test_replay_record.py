"""What a replay record says of a result: made without a database, kept by JSON, shown in VOTables."""

from __future__ import annotations

from typing import Any

import pytest

from adql import RUBIN, STRICT, Dialect, OutputColumn, parse
from ppdb_replay import ReplayRecord, Request, Snapshot, as_of
from ppdb_replay.replaying.catalog import ClockReading
from ppdb_replay.replaying.execution import make_record
from ppdb_replay.votable.writer import replay_infos
from tap_query.execute import QueryResult
from tests.ppdb_replay.small_catalog import CATALOG
from tests.ppdb_replay.votable_results import made_up_result

NATURAL = "SELECT ra FROM DiaObject"
CLOCK = ClockReading(Snapshot(41, 61041.123456789), "ab" * 32, CATALOG)

FIELDS = [
    ("natural", NATURAL),
    ("snapshot", CLOCK.snapshot),
    ("snapshot_digest", CLOCK.snapshot_digest),
    ("schema_version", CATALOG.schema_version),
    ("max_rows", 2),
    ("exact_sums", True),
    ("dialect", "rubin"),
    ("uploads", {"TAP_UPLOAD.mine": "sha256:00"}),
    ("row_count", 2),
    ("overflow", True),
]
INFOS = [
    ("ppdb_snapshot", "41"),
    ("ppdb_snapshot_time_mjd_tai", "61041.123456789"),
    ("ppdb_schema_version", "7"),
    ("ppdb_guarantee", "partial"),
]


def record_of(request: Request) -> ReplayRecord:
    query = parse(NATURAL, dialect=request.dialect)
    return make_record(
        query,
        as_of(query, CLOCK.snapshot, CATALOG),
        CLOCK,
        QueryResult((OutputColumn("ra", "double"),), [(1.5,), (2.5,)], overflow=True),
        uploads={"TAP_UPLOAD.mine": "sha256:00"},
        request=request,
    )


@pytest.mark.parametrize(("name", "value"), FIELDS)
def test_a_record_says_what_was_asked_and_found_and_json_keeps_it(name: str, value: Any) -> None:
    record = record_of(Request(max_rows=2, exact_sums=True))
    assert getattr(record, name) == value
    assert getattr(ReplayRecord.from_json(record.to_json()), name) == value


@pytest.mark.parametrize("max_rows", [None, 0, 7])
@pytest.mark.parametrize("exact_sums", [False, True])
@pytest.mark.parametrize("dialect", [RUBIN, STRICT], ids=lambda one: one.name)
def test_a_record_repeats_the_request_that_made_it(
    *, max_rows: int | None, exact_sums: bool, dialect: Dialect
) -> None:
    request = Request(max_rows, exact_sums, dialect)
    assert ReplayRecord.from_json(record_of(request).to_json()).request == request


@pytest.mark.parametrize(("name", "value"), INFOS)
def test_a_votable_shows_a_field_of_the_record(name: str, value: str) -> None:
    assert dict(replay_infos(made_up_result().record))[name] == value
