"""What is changed in a file of a result, wherever it is, is found from the file alone."""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import astropy.io.votable
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from adql import OutputColumn
from ppdb_replay import Guarantee, Level
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.votable.file_record import FileCheck, check_rows, check_votable
from tapdb.cli.output import write_table
from tapdb.votable import Document, plain_rows, write_csv, write_json, write_votable, written_fields
from tapdb.votable.binary2 import RowDecoder, encode_rows
from tapdb.votable.tabledata import cell_reader
from tests.ppdb_replay.votable_results import NASTY, as_votable, made_up_result

COLUMNS = (
    OutputColumn("short", "short"),
    OutputColumn("n", "int", unit="s", ucd="meta.id", description="what  < it"),
    OutputColumn("long", "long"),
    OutputColumn("byte", "unsignedByte"),
    OutputColumn("single", "float", unit="deg"),
    OutputColumn("double", "double"),
    OutputColumn("flag", "boolean"),
    OutputColumn("text", "char", "*"),
    OutputColumn("word", "char", "8*"),
    OutputColumn("any", "char", "*"),
    OutputColumn("time", "char", "*", "timestamp"),
    OutputColumn("uuid", "char", "36", "uuid", table="ppdb.T", column="uuid"),
    OutputColumn("point", "double", "2", "point"),
    OutputColumn("polygon", "double", "*", "polygon"),
    OutputColumn("singles", "float", "*"),
    OutputColumn("longs", "long", "*"),
    OutputColumn("flags", "boolean", "*"),
    OutputColumn("bytes", "unsignedByte", "*"),
    OutputColumn("matrix", "int", "2x3"),
    OutputColumn("n", "int"),
)
LONGS = st.integers(-(2**63) + 1, 2**63 - 1)
TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("<>&\n\t\r")
)
VALUES: tuple[st.SearchStrategy[Any], ...] = (
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1),
    LONGS,
    st.integers(0, 255),
    st.floats(width=32),
    st.floats() | st.decimals(-1000, 1000, places=3),
    st.booleans(),
    st.text(st.characters(codec="ascii", min_codepoint=32)),
    st.text("ab ", max_size=8),
    TEXT,
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - as PostgreSQL without a zone
    | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.uuids(),
    st.lists(st.floats(), min_size=2, max_size=2),
    st.lists(st.floats() | st.none(), max_size=4),
    st.lists(st.floats(width=32), max_size=4),
    st.lists(LONGS | st.none(), max_size=4),
    st.lists(st.booleans() | st.none(), max_size=4),
    st.binary(max_size=4),
    st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), min_size=3, max_size=3),
    st.integers(-9, 9),
)
ROWS = st.lists(st.tuples(*(st.none() | value for value in VALUES)), max_size=5)
FIXED: tuple[Any, ...] = (
    *(1, 2, 3, 4, 0.5, 0.25, True, "text", "word", NASTY, datetime(2026, 1, 2, 3, 4, 5, 678901)),  # noqa: DTZ001
    *(
        UUID(int=5),
        [1.0, 2.0],
        [1.0, None],
        [0.5],
        [1, None],
        [True, None],
        b"\x00\xff",
        [[1, 2], [3, 4], [5, 6]],
        7,
    ),
)
THREE = [FIXED, (None,) * len(COLUMNS), (9, *FIXED[1:])]


def checked(content: bytes, folder: Path) -> FileCheck:
    path = folder / "result.xml"
    path.write_bytes(content)
    return check_votable(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fixity")


@pytest.fixture(scope="module")
def content() -> bytes:
    """Return a file of a result with all types of columns."""
    return as_votable(made_up_result(COLUMNS, THREE, natural=NASTY, repeatable=NASTY, max_rows=3))


def test_an_untouched_file_is_what_its_record_says(content: bytes, folder: Path) -> None:
    found = checked(content, folder)
    assert (found.problems, found.note) == ((), "")
    assert found.record == made_up_result(COLUMNS, THREE, natural=NASTY, repeatable=NASTY, max_rows=3).record


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
@given(rows=ROWS)
def test_any_rows_have_the_same_digest_in_their_file(folder: Path, rows: list[tuple[Any, ...]]) -> None:
    assert checked(as_votable(made_up_result(COLUMNS, rows)), folder).problems == ()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
@given(rows=ROWS, data=st.data())
def test_any_other_cell_or_order_or_number_of_rows_is_found(
    folder: Path, rows: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    result = made_up_result(COLUMNS, rows)
    place = data.draw(st.integers(0, len(COLUMNS) - 1))
    match data.draw(st.sampled_from(("cell", "drop", "add", "move"))):
        case "cell" if rows:
            number = data.draw(st.integers(0, len(rows) - 1))
            value = data.draw(st.none() | VALUES[place])
            changed = [list(row) for row in rows]
            changed[number][place] = value
            others = [tuple(row) for row in changed]
        case "drop":
            others = rows[1:]
        case "move":
            others = rows[::-1]
        case _:
            others = [*rows, FIXED]
    # The digest is the one of `hashlib` over plain values: values that are the same to a file are the same.
    before, after = (list(plain_rows(COLUMNS, some)) for some in (rows, others))
    same = repr(with_nan(before)) == repr(with_nan(after))
    problems = checked(as_votable(replace(result, rows=others)), folder).problems
    assert (problems == ()) is same


def with_nan(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Return rows in which an element of floating-point numbers that is NULL is NaN, as in a file."""
    floats = {place for place, column in enumerate(COLUMNS) if column.datatype in {"double", "float"}}
    return [
        [
            [float("nan") if one is None else one for one in value]
            if place in floats and isinstance(value, list)
            else value
            for place, value in enumerate(row)
        ]
        for row in rows
    ]


def stream_of(content: bytes) -> tuple[bytes, bytes, bytes]:
    before, data, after = re.split(rb"(?<=base64\">\n)|(?=\n</STREAM>)", content)
    return before, data, after


NAN = struct.pack(">d", math.nan)


def same_rows(encoded: bytes, written: bytes) -> bool:
    """Return whether base64 has the rows that were written; the bits of a number that is none say nothing."""
    try:
        decoded = bytearray(base64.b64decode(encoded.replace(b"\n", b""), validate=True))
    except binascii.Error:
        return False
    places = [found.start() for found in re.finditer(re.escape(NAN), written)]
    assert places
    if len(decoded) == len(written):
        for place in places:
            if math.isnan(*struct.unpack_from(">d", decoded, place)):
                decoded[place : place + len(NAN)] = NAN
    return decoded == written


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(data=st.data())
def test_any_other_byte_of_the_rows_is_found(content: bytes, folder: Path, data: st.DataObject) -> None:
    before, rows, after = stream_of(content)
    written = base64.b64decode(rows)
    if data.draw(st.booleans()):
        decoded = bytearray(written)
        decoded[data.draw(st.integers(0, len(decoded) - 1))] ^= data.draw(st.integers(1, 255))
        other = base64.b64encode(decoded)
    else:
        place = data.draw(st.integers(0, len(rows) - 1))
        other = rows[:place] + data.draw(st.sampled_from([b"A", b"/", b"=", b"<", b"-"])) + rows[place + 1 :]
    if not same_rows(other, written):
        assert checked(before + other + after, folder).problems != ()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(data=st.data())
def test_any_other_attribute_of_fields_and_infos_is_found(
    content: bytes, folder: Path, data: st.DataObject
) -> None:
    places = [
        found
        for found in re.finditer(rb'<(?:FIELD|INFO|VALUES|TABLE|PARAM)\b[^>]*?(\w+)="([^"]*)"', content)
        # Who answered is no part of a record.
        if not re.search(rb'"(publisher|contact|service_ivoid|accessURL|resourceIdentifier)"', found[0])
    ] + list(re.finditer(rb'<FIELD [^>]*?(unit|ucd|xtype|arraysize|datatype)="([^"]*)"', content))
    chosen = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from([b"", b"int", b"char", b"2", b"x" + chosen[2]]))
    if other != chosen[2]:
        changed = content[: chosen.start(2)] + other + content[chosen.end(2) :]
        assert checked(changed, folder).problems != (), chosen[0]


EDITS: tuple[tuple[str, str, str], ...] = (
    ("a FIELD has another unit", 'unit="deg"', 'unit="rad"'),
    ("a FIELD has another name", '<FIELD name="text"', '<FIELD name="Text"'),
    ("a FIELD has another meaning", "<DESCRIPTION>what", "<DESCRIPTION>that"),
    (
        "a FIELD has another type",
        '<FIELD name="long" datatype="long"',
        '<FIELD name="long" datatype="double"',
    ),
    ("a FIELD is gone", '<FIELD name="byte" datatype="unsignedByte" />', ""),
    ("the query of data origin is another", '<INFO name="query" value="a', '<INFO name="query" value="b'),
    ("an INFO is gone", '<INFO name="ppdb_snapshot" value="41" />', ""),
    ("an INFO is there twice", "</RESOURCE>", '<INFO name="query" value="SELECT 1" /></RESOURCE>'),
    ("the record has another snapshot", "&quot;snapshot_id&quot;: 41", "&quot;snapshot_id&quot;: 40"),
    ("the record has another unit", "&quot;unit&quot;: &quot;deg&quot;", "&quot;unit&quot;: &quot;rad&quot;"),
    ("the record has another number of rows", "&quot;row_count&quot;: 3", "&quot;row_count&quot;: 4"),
    ("the record is no JSON", "&quot;natural&quot;: ", "&quot;natural&quot; "),
    ("the record lacks something", "&quot;natural&quot;: ", "&quot;unnatural&quot;: "),
    ("the status is another", '<INFO name="QUERY_STATUS" value="OVERFLOW" />', ""),
    ("the status is an error", 'name="QUERY_STATUS" value="OK"', 'name="QUERY_STATUS" value="ERROR"'),
    ("the number of rows is another", 'nrows="3"', 'nrows="2"'),
    (
        "the descriptor asks another query",
        '<PARAM name="QUERY" datatype="unicodeChar" arraysize="*" value="a',
        '<PARAM name="QUERY" datatype="unicodeChar" arraysize="*" value="b',
    ),
    ("the file ends too early", "</RESOURCE>\n</VOTABLE>", ""),
    (
        "the rows are elsewhere",
        '<STREAM encoding="base64">',
        '<STREAM encoding="base64" href="http://127.0.0.1/">',
    ),
    ("the rows are of another form", "BINARY2>", "BINARY>"),
    ("there are no rows", "STREAM", "STREAMS"),
    ("there is a second table", "</TABLE>", "</TABLE><TABLE/>"),
)


@pytest.mark.parametrize(("old", "new"), [edit[1:] for edit in EDITS], ids=[edit[0] for edit in EDITS])
def test_an_edited_file_is_found(old: str, new: str, content: bytes, folder: Path) -> None:
    assert old.encode() in content
    assert checked(content.replace(old.encode(), new.encode()), folder).problems != ()


def test_what_is_no_votable_is_no_file_of_a_result(folder: Path) -> None:
    for text in (b"<html/>", b"rows", b""):
        with pytest.raises(ReplayRecordError):
            checked(text, folder)


def test_columns_that_do_not_come_again_count_in_the_file(folder: Path) -> None:
    rows = [("g", 0.5), ("r", 0.25)]
    columns = (OutputColumn("band", "char", "*"), OutputColumn("mean", "double"))
    result = made_up_result(columns, rows)
    record = replace(
        result.record,
        guarantee=Guarantee(Level.PARTIAL, ("sums",), (2,)),
        digest=digest_of_result(columns, rows, without=(2,)),
    )
    content = as_votable(replace(result, record=record))
    assert checked(content, folder).problems == ()
    before, data, after = stream_of(content)
    other = base64.b64encode(base64.b64decode(data).replace(b"\x3f\xe0", b"\x3f\xe1"))
    assert "its rows have the digest" in checked(before + other + after, folder).problems[0]
    gone = re.sub(rb'<INFO name="ppdb_all_columns_digest"[^>]*>', b"", content)
    assert "is missing" in checked(gone, folder).problems[0]


KEPT = (
    *(1, 2, 3, 4, 0.3, 0.1 + 0.2, False, "text", "word", NASTY, datetime(2026, 1, 2, 3, 4, 5, 670000)),  # noqa: DTZ001
    *(
        UUID(int=5),
        [1.0, 2.0],
        [1.0, 3.5],
        [0.5],
        [1, 2],
        [True, False],
        b"\x00\xff",
        [[1, 2], [3, 4], [5, 6]],
        7,
    ),
)


def saved_by_astropy(path: Path, saved: Path) -> None:
    astropy.io.votable.parse(str(path)).to_xml(str(saved))


def saved_by_stilts(form: str) -> Callable[[Path, Path], None]:
    def save(path: Path, saved: Path) -> None:
        command = ["stilts", "tcopy", f"in={path}", "ifmt=votable", f"out={saved}", f"ofmt={form}"]
        subprocess.run(command, check=True, capture_output=True)

    return save


SAVERS = {
    "astropy": saved_by_astropy,
    "stilts BINARY2": saved_by_stilts("votable-binary2-inline"),
    "stilts TABLEDATA": saved_by_stilts("votable-tabledata"),
}


@pytest.mark.parametrize("saver", SAVERS)
def test_a_file_that_was_saved_again_is_the_same_if_its_values_are(saver: str, folder: Path) -> None:
    # Line ends within a text are not kept by all of them.
    plain = tuple("é <&> ' \" 日" if value is NASTY else value for value in KEPT)
    nulls = (*(None,) * 7, *plain[7:12], *plain[12:19], None)
    result = made_up_result(
        COLUMNS, [plain, nulls], natural="SELECT a FROM b WHERE c <= 'é'", repeatable="SELECT n <= 1"
    )
    path, saved = folder / "result.xml", folder / "saved.xml"
    path.write_bytes(as_votable(result))
    SAVERS[saver](path, saved)
    found = check_votable(saved)
    assert (found.record, found.problems) == (result.record, ())
    # The control: another value in the same file.
    content = saved.read_bytes()
    if b"<TD>" in content:
        assert content.count(b"word") > 0
        saved.write_bytes(content.replace(b">word<", b">wort<"))
    else:
        before, data, after = re.split(rb"(?<=base64['\"]>)|(?=</STREAM>)", content)
        other = base64.b64encode(base64.b64decode(data).replace(b"word", b"wort"))
        saved.write_bytes(before + other + after)
    assert check_votable(saved).problems != ()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
@given(rows=ROWS, size=st.integers(1, 50))
def test_binary2_is_read_as_it_was_written(rows: list[tuple[Any, ...]], size: int) -> None:
    plain = list(plain_rows(COLUMNS, rows))
    fields = written_fields(COLUMNS, plain)
    content = b"".join(encode_rows(fields, plain))
    decoder = RowDecoder(fields)
    found = [
        row for place in range(0, len(content), size) for row in decoder.feed(content[place : place + size])
    ]
    decoder.close()
    assert decoder.is_canonical
    assert repr([list(row) for row in found]) == repr(with_nan(plain))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
@given(rows=ROWS)
def test_tabledata_is_read_as_it_was_written_but_for_empty_texts_and_arrays(
    rows: list[tuple[Any, ...]],
) -> None:
    plain = list(plain_rows(COLUMNS, rows))
    fields = written_fields(COLUMNS, plain)
    stream = io.BytesIO()
    write_votable(Document(columns=fields), plain, stream)
    stream.seek(0)
    read = [cell_reader(field) for field in fields]
    tree = cells_of(stream)
    found = [[make(text) for make, text in zip(read, row, strict=True)] for row in tree]
    emptied = [[None if value in ("", b"", []) else value for value in row] for row in with_nan(plain)]
    assert repr(found) == repr(emptied)


def cells_of(stream: io.BytesIO) -> list[list[str]]:
    """Return the texts of cells by lxml."""
    space = "{http://www.ivoa.net/xml/VOTable/v1.3}"
    return [[cell.text or "" for cell in row] for row in etree.parse(stream).iter(f"{space}TR")]


def test_numbers_of_text_and_times_in_a_zone_count_as_a_file_holds_them() -> None:
    column = (OutputColumn("v", "char", "*"),)
    east = datetime(2026, 1, 2, tzinfo=UTC)
    same = ((Decimal("1.50"), "1.50"), (east, "2026-01-02T00:00:00"), (UUID(int=1), str(UUID(int=1))))
    for value, text in same:
        assert digest_of_result(column, [(value,)]) == digest_of_result(column, [(text,)])
    assert digest_of_result(column, [(None,)]) != digest_of_result(column, [("",)])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
@given(rows=ROWS, data=st.data())
def test_rows_of_csv_and_json_are_those_of_their_record_and_no_others(
    folder: Path, rows: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    result = made_up_result(COLUMNS, rows)
    plain = list(plain_rows(COLUMNS, rows))
    form = data.draw(st.sampled_from(("csv", "json")))
    other = data.draw(
        st.sampled_from((plain, plain[1:], plain[::-1], [*plain, *plain_rows(COLUMNS, [FIXED])]))
    )
    path = folder / f"rows.{form}"
    with path.open("wb") as stream:
        if form == "csv":
            write_csv([column.name for column in COLUMNS], other, stream)
        else:
            write_json(COLUMNS, other, stream, overflow=False)
    found = check_rows(path, result.record)
    # JSON has one word for NULL, NaN and infinity: of rows with two of them nothing can be told.
    told = repr(with_nan(other)) == repr(with_nan(plain))
    if form == "csv" or not has_no_numbers(plain):
        assert (found.problems == ()) is told
    elif not told:
        assert found.problems != ()


def has_no_numbers(rows: list[tuple[Any, ...]]) -> bool:
    """Return whether there is a float that JSON does not have."""
    flat = [part for row in rows for value in row for part in (value if isinstance(value, list) else [value])]
    return any(isinstance(part, float) and not math.isfinite(part) for part in flat)


ROW_EDITS: tuple[tuple[str, str, str, str], ...] = (
    ("csv", "another value", "0.25", "0.26"),
    ("csv", "NULL for a value", ",0.25,", ",,"),
    ("csv", "an empty text for NULL", "\n,,", '\n"",x,'),
    ("csv", "another name of a column", "single", "Single"),
    ("csv", "a cell more", "\n1,", "\n1,1,"),
    ("csv", "a text that does not end", "word", '"word'),
    ("csv", "a text for a number", "\n1,", "\nx,"),
    ("csv", "a number that is too large", "\n1,", "\n70000,"),
    ("csv", "a row less", "\n9,", "\n"),
    ("json", "another value", "0.25", "0.26"),
    ("json", "NULL for a value", "0.25", "null"),
    ("json", "a text for a number", "0.25", '"0.25"'),
    ("json", "a number for a text", '"word"', "5"),
    ("json", "1 for true", 'true, "text"', '1, "text"'),
    ("json", "another unit", '"unit": "deg"', '"unit": "rad"'),
    ("json", "another name of a column", '"name": "single"', '"name": "Single"'),
    ("json", "another ID", '"id": "ppdb_T_uuid"', '"id": "x"'),
    ("json", "an overflow that was none", '"overflow": true', '"overflow": false'),
    ("json", "no JSON any more", '"rows"', "rows"),
    ("json", "a number for a row", '"rows": [', '"rows": [1,'),
    ("json", "rows by another name", '"rows"', '"lines"'),
)


@pytest.mark.parametrize(
    ("form", "old", "new"), [(edit[0], *edit[2:]) for edit in ROW_EDITS], ids=[edit[1] for edit in ROW_EDITS]
)
def test_an_edited_file_of_rows_is_found(form: str, old: str, new: str, folder: Path) -> None:
    record = made_up_result(COLUMNS, THREE, max_rows=3).record
    plain = list(plain_rows(COLUMNS, THREE))
    stream = io.BytesIO()
    if form == "csv":
        write_csv([column.name for column in COLUMNS], plain, stream)
    else:
        write_json(COLUMNS, plain, stream, overflow=True)
    path, content = folder / f"edited.{form}", stream.getvalue().decode()
    path.write_text(content, encoding="utf-8", newline="")
    assert check_rows(path, record).problems == ()
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8", newline="")
    assert check_rows(path, record).problems != ()


def test_a_table_for_people_is_not_compared(folder: Path) -> None:
    path = folder / "rows.txt"
    with path.open("wb") as stream:
        write_table(["n"], [(1,)], stream)
    with pytest.raises(ReplayRecordError, match="write them as csv, json or votable"):
        check_rows(path, made_up_result().record)


def test_sums_that_do_not_come_again_are_said_not_to_be_compared(folder: Path) -> None:
    columns = (OutputColumn("band", "char", "*"), OutputColumn("mean", "double"))
    result = made_up_result(columns, [("g", 0.5)])
    record = replace(
        result.record,
        guarantee=Guarantee(Level.PARTIAL, ("sums",), (2,)),
        digest=digest_of_result(columns, [("g", 0.5)], without=(2,)),
    )
    path = folder / "sums.csv"
    path.write_text("band,mean\ng,0.75\n", encoding="utf-8")
    assert (check_rows(path, record).problems, check_rows(path, record).note) == (
        (),
        "columns mean do not come again and were not compared",
    )
