"""What a replay record says of a result: made without a database, kept by JSON, shown in VOTables."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from adql import RUBIN, STRICT, Dialect, OutputColumn, parse
from ppdb_replay import Guarantee, Level, ReplayRecord, Request, Snapshot, as_of
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.replaying.catalog import ClockReading
from ppdb_replay.replaying.execution import make_record
from ppdb_replay.replaying.record import is_as_written
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


def places(content: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all values in JSON."""
    named = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in named:
        yield (*above, name)
        if isinstance(value, (dict, list)):
            yield from places(value, (*above, name))


def without_null_columns(content: Any) -> Any:
    """Return a record as it is written again: facts of columns that are NULL are left out."""
    columns = [
        {name: value for name, value in one.items() if value is not None} for one in content["columns"]
    ]
    return content | {"columns": columns}


COLUMN = OutputColumn("n", "char", "*", "t", "s", "meta", "u:t", "text", "T", "c")
WHOLE = json.loads(
    replace(
        made_up_result((COLUMN,), (("a",),), max_rows=1).record,
        guarantee=Guarantee(Level.PARTIAL, ("why",), (1,)),
    ).to_json()
)
OTHER_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, "", "x", "1", "\ud800", "\0"),
    *([], ["x"], [None], {}, {"x": 1}),
)


@pytest.mark.parametrize("place", list(places(WHOLE)), ids=lambda place: ".".join(map(str, place)))
def test_a_record_with_any_other_value_is_refused_or_seen_to_be_edited(place: tuple[str | int, ...]) -> None:
    kept = 0
    for value in OTHER_VALUES:
        content = copy.deepcopy(WHOLE)
        part = content
        for name in place[:-1]:
            part = part[name]
        if (type(part[place[-1]]), part[place[-1]]) == (type(value), value):
            continue
        part[place[-1]] = value
        text = json.dumps(content)
        try:
            record = ReplayRecord.from_json(text)
        except ReplayRecordError:
            continue
        kept += 1
        # What is read is what was written: nothing is left out or made fit.
        again = json.loads(record.to_json()) | {"record_digest": content["record_digest"]}
        assert again == without_null_columns(content)
        assert record.request.dialect.name in {"rubin", "strict"}
        assert is_as_written(text) in ({None, False} if place[0] == "record_digest" else {False})
    assert kept < len(OTHER_VALUES) / 2 or place[0] == "record_digest"


def test_the_layout_of_a_record_does_not_count() -> None:
    text = json.dumps(WHOLE)
    assert is_as_written(text) is True
    assert is_as_written(json.dumps(dict(reversed(WHOLE.items())), indent=7, ensure_ascii=False)) is True
    stated = WHOLE.keys() - {"record_digest"}
    assert is_as_written(json.dumps({name: WHOLE[name] for name in stated})) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dialect": "oracle"}, "dialect 'oracle' of ADQL; a newer release may have made it"),
        ({"format": "tapdb-replay-record/2"}, "a newer release may have made it"),
        ({"colour": "red"}, "colour: Unexpected keyword argument; a newer release"),
        ({"columns": [{"name": "n"}]}, "columns.0.datatype: Field required"),
        ({"max_rows": 2**63}, "max_rows"),
        ({"row_count": True}, "row_count: Input should be a valid integer"),
    ],
)
def test_a_record_that_cannot_be_used_says_where_and_why(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ReplayRecordError, match=problem):
        ReplayRecord.from_json(json.dumps(WHOLE | change))


@pytest.mark.parametrize("text", ["", "{", json.dumps(WHOLE)[:300], "[" * 100_000, "1" * 5_000, "[]", "null"])
def test_a_text_that_is_no_record_is_no_traceback(text: str) -> None:
    with pytest.raises(ReplayRecordError):
        ReplayRecord.from_json(text)
