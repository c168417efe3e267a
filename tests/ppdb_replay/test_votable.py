"""A result as VOTable: other software reads what was written, and the query comes back bit by bit."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import astropy.io.votable
import numpy as np
import pytest
from astropy.io.votable.dataorigin import extract_data_origin
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pyvo.dal.adhoc import DatalinkQuery
from pyvo.dal.tap import TAPResults

from adql import OutputColumn
from ppdb_replay.votable.file_record import record_of_votable
from ppdb_replay.votable.writer import ResultOrigin, TapService, replay_infos
from tapdb.errors import ValueWriteError
from tests.plugins.stilts_fixtures import Stilts
from tests.ppdb_replay.votable_results import NASTY, SERVICE, as_votable, made_up_result

NUMBER = OutputColumn("n", "int")
V = "{http://www.ivoa.net/xml/VOTable/v1.3}"
PARAMS = f".//{V}RESOURCE[@utype='adhoc:service']//{V}PARAM"

# Whatever XML 1.0 can hold.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("<>&'\"\n\r\t;#ampltgquo "),
        st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    ),
    min_size=1,
)


def parsed(content: bytes) -> Any:
    return astropy.io.votable.parse(io.BytesIO(content), verify="exception")


def table_of(columns: list[OutputColumn], rows: list[tuple[Any, ...]]) -> Any:
    return parsed(as_votable(made_up_result(columns, rows))).get_first_table()


def read_xml(content: bytes) -> ET.Element:
    return ET.fromstring(content)  # noqa: S314 - written by us or by astropy


def service_query(votable: Any) -> DatalinkQuery:
    """Return the request that pyvo makes of the descriptor."""
    (service,) = TAPResults(votable).iter_adhocservices()
    return DatalinkQuery.from_resource([], service)


def infos_of(content: bytes) -> list[tuple[str, str]]:
    return [(of.get("name", ""), of.get("value", "")) for of in read_xml(content).iter(f"{V}INFO")]


def check_everywhere(text: str) -> None:
    result = made_up_result(natural=text, repeatable=text)
    content = as_votable(result)
    for tree in (read_xml(content), etree.fromstring(content)):
        params = {of.get("name"): of.get("value") for of in tree.iterfind(PARAMS)}
        infos = {of.get("name"): of.get("value") for of in tree.iter(f"{V}INFO")}
        assert (params["QUERY"], infos["ppdb_query_natural"], infos["query"]) == (text, text, text)
    votable = parsed(content)
    infos = {info.name: info.value for info in votable.resources[0].infos}
    assert (infos["ppdb_query_repeatable"], infos["ppdb_query_natural"]) == (text, text)
    assert service_query(votable)["QUERY"] == text
    assert record_of_votable(io.BytesIO(content)) == result.record


def test_a_query_of_nasty_characters_comes_back_from_astropy_lxml_etree_and_pyvo() -> None:
    check_everywhere(NASTY)


@given(TEXTS)
def test_any_query_comes_back_from_astropy_lxml_etree_and_pyvo(text: str) -> None:
    check_everywhere(text)


def test_astropy_escapes_parameters_twice_and_we_escape_them_once() -> None:
    text = "SELECT a FROM t WHERE a <= 1 AND b > 2 -- R&D"
    content = as_votable(made_up_result(repeatable=text))
    assert read_xml(content).find(f"{PARAMS}[@name='QUERY']").get("value") == text  # type: ignore[union-attr]
    # What astropy read is right; what it writes of it is not, if this is a release with that fault.
    votable = parsed(content)
    assert service_query(votable)["QUERY"] == text
    again = io.BytesIO()
    votable.to_xml(again)
    written = read_xml(again.getvalue())
    query = next(of for of in written.iter(f"{V}PARAM") if of.get("name") == "accessURL").get("value")
    assert astropy.__version__ != "8.0.2" or query == SERVICE.access_url.replace("&", "&amp;")


def test_a_file_that_astropy_saved_again_has_its_record_still(tmp_path: Path) -> None:
    result = made_up_result(natural=NASTY, repeatable=NASTY)
    again = io.BytesIO()
    parsed(as_votable(result)).to_xml(again)
    # Line ends of attributes are gone, the record is whole.
    assert dict(infos_of(again.getvalue()))["ppdb_query_natural"] != NASTY
    again.seek(0)
    assert record_of_votable(again) == result.record


def test_the_file_follows_the_schema_of_votable() -> None:
    folder = Path(astropy.io.votable.__file__).parent / "data"
    schema = etree.XMLSchema(file=str(folder / "VOTable.v1.4.xsd"))
    twice = OutputColumn("n", "double", "2", "point", "deg", "pos.eq", "a:b", "what < it")
    result = made_up_result([NUMBER, twice, NUMBER], [(1, (1.0, 2.0), 3)], max_rows=1)
    for content in (as_votable(result), as_votable(result, service=None)):
        schema.assertValid(etree.fromstring(content))


def test_stilts_finds_no_fault_in_a_result_and_one_in_a_broken_one(stilts: Stilts, tmp_path: Path) -> None:
    path = tmp_path / "result.vot"
    numbers = [OutputColumn(name, name) for name in ("short", "int", "long", "float", "double", "boolean")]
    rows: list[tuple[Any, ...]] = [(1, 2, 3, 0.5, math.nan, True), (None,) * 6]
    content = as_votable(made_up_result(numbers, rows, natural=NASTY, repeatable=NASTY))
    path.write_bytes(content)
    assert stilts.votable_errors(path) == []
    path.write_bytes(content.replace(b'datatype="double"', b'datatype="real"'))
    assert stilts.votable_errors(path) != []


def test_values_come_back_to_the_last_bit() -> None:
    numbers = [0.1 + 0.2, -0.0, 5e-324, math.inf, -math.inf, math.nan, None]
    columns = [OutputColumn(name, name) for name in ("short", "int", "long", "float", "double", "boolean")]
    rows: list[tuple[Any, ...]] = [
        (-(2**15), -(2**31), -(2**63), struct.unpack("f", struct.pack("f", 0.3))[0], number, flag)
        for number, flag in zip(numbers, (True, False, None) * 3, strict=False)
    ]
    rows.append((None,) * 6)
    content = as_votable(made_up_result(columns, rows))
    array = parsed(content).get_first_table().array
    for place, column in enumerate(columns):
        found = array[column.name].data
        for row, value in enumerate(values := [row[place] for row in rows]):
            assert value is None or found[row].tobytes() == np.array(value, found.dtype).tobytes()
        # astropy takes NaN for NULL.
        expected = [value is None or value != value for value in values]  # noqa: PLR0124
        assert list(np.ma.getmaskarray(array[column.name])) == expected, column.name
    # The file itself tells them apart: the flags stand before each row.
    stream = read_xml(content).find(f".//{V}STREAM")
    assert stream is not None
    data = base64.b64decode(stream.text or "")
    flags = [data[place] for place in range(0, len(data), len(data) // len(rows))]
    assert flags == [sum((row[i] is None) << (7 - i) for i in range(6)) for row in rows]


def test_text_and_times_and_arrays_come_back() -> None:
    east = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=9)))
    columns = [
        OutputColumn("ascii", "char", "3"),
        OutputColumn("any", "char", "*"),
        OutputColumn("time", "char", "*", "timestamp"),
        OutputColumn("other", "char", "*"),
        OutputColumn("point", "double", "2", "point"),
        OutputColumn("polygon", "double", "*", "polygon"),
        OutputColumn("bytes", "unsignedByte", "*"),
    ]
    uuid = UUID(int=7)
    rows: list[tuple[Any, ...]] = [
        ("abcdef", NASTY, east, uuid, [1.5, -2.5], [1.0, 2.0, 3.0], b"\x00\xff"),
        (None, "", east.astimezone(UTC).replace(tzinfo=None), Decimal("1.10"), None, None, None),
    ]
    table = table_of(columns, rows)
    assert [field.datatype for field in table.fields][:2] == ["char", "unicodeChar"]
    assert list(table.array["ascii"]) == ["abcdef", ""]
    assert list(table.array["any"]) == [NASTY, ""]
    assert list(table.array["time"]) == ["2026-11-20T16:02:03.456789"] * 2
    assert list(table.array["other"]) == [str(uuid), "1.10"]
    assert list(table.array["point"][0]) == [1.5, -2.5]
    assert list(table.array["polygon"][0]) == [1.0, 2.0, 3.0]
    assert list(table.array["bytes"][0]) == [0, 255]


def test_many_rows_and_columns_come_back() -> None:
    columns = [OutputColumn(f"c{number}", "long") for number in range(19)]
    rows = [tuple(None if (i + j) % 7 == 0 else i * j for j in range(19)) for i in range(3001)]
    array = table_of(columns, rows).array
    assert [tuple(None if v is np.ma.masked else int(v) for v in row) for row in array] == rows


def test_columns_of_one_name_are_told_apart() -> None:
    # Names that come twice are allowed (VOTable 1.4 section 3.2); astropy tells them apart by ID.
    content = as_votable(made_up_result([NUMBER, NUMBER], [(1, 2)]))
    table = astropy.io.votable.parse_single_table(io.BytesIO(content))
    assert [field.name for field in table.fields] == ["n", "n"]
    assert [int(table.array[name][0]) for name in table.array.dtype.names] == [1, 2]


def test_infos_tell_people_what_the_record_tells_programs() -> None:
    result = made_up_result(max_rows=1)
    content = as_votable(result)
    infos = infos_of(content)
    assert ("ppdb_snapshot", "41") in infos
    assert ("ppdb_snapshot_time_mjd_tai", "61041.123456789") in infos
    assert ("ppdb_snapshot_digest", "41:" + "ab" * 32) in infos
    assert ("ppdb_guarantee", "partial") in infos
    assert ("ppdb_digest", result.digest) in infos
    assert [value for name, value in infos if name == "ppdb_guarantee_reason"] == [
        "because & so",
        "'why' <not>",
    ]
    assert [value for name, value in infos if name == "QUERY_STATUS"] == ["OK", "OVERFLOW"]
    record = dict(replay_infos(result.record))["ppdb_replay_record"]
    assert "\n" not in record
    assert json.loads(record)["snapshot"]["snapshot_id"] == 41


def test_keys_of_data_origin_are_found_by_astropy() -> None:
    origin = ResultOrigin(
        pid="10.5072/ppdb.abc",
        landing_url="https://example.org/q/abc",
        data_ivoid="ivo://example.org/ppdb",
        requested_at=datetime(2026, 11, 21, 10, 0, tzinfo=timezone(timedelta(hours=1))),
    )
    origin = extract_data_origin(parsed(as_votable(made_up_result(natural=NASTY), SERVICE, origin)))
    query = origin.query
    assert (query.publisher, query.contact, query.service_ivoid) == (
        SERVICE.publisher,
        SERVICE.contact,
        SERVICE.ivoid,
    )
    assert (query.query, query.server_software) == (NASTY, "tapdb 0")
    assert (query.request_date, query.service_protocol) == ("2026-11-21T09:00:00Z", "ivo://ivoa.net/std/TAP")
    (dataset,) = origin.origin
    assert dataset.citation == ["10.5072/ppdb.abc"]
    assert dataset.reference_url == ["https://example.org/q/abc"]
    assert dataset.data_ivoid == ["ivo://example.org/ppdb"]
    assert dataset.resource_version == ["snapshot 41"]


def test_the_descriptor_is_the_request_that_pyvo_sends() -> None:
    votable = parsed(as_votable(made_up_result(max_rows=0)))
    query = service_query(votable)
    assert query.baseurl == SERVICE.access_url
    assert dict(query) == {
        "REQUEST": "doQuery",
        "LANG": "ADQL",
        "RESPONSEFORMAT": "application/x-votable+xml",
        "MAXREC": "0",
        "QUERY": "SELECT n FROM t WHERE n <= 1",
    }
    results = TAPResults(votable)
    found = results.get_adhocservice_by_ivoid("ivo://ivoa.net/std/TAP#sync")
    assert found is results.get_adhocservice_by_id("ppdb_replay")
    assert "MAXREC" not in dict(service_query(parsed(as_votable(made_up_result()))))


def test_without_an_address_there_is_no_descriptor() -> None:
    for service in (None, TapService(publisher="somebody")):
        assert b"adhoc:service" not in as_votable(made_up_result(), service)


@pytest.mark.parametrize("text", ["a\x01b", "\x00", "\ud800", "\ufffe", "\x0b"])
def test_characters_that_xml_cannot_hold_are_refused(text: str) -> None:
    with pytest.raises(ValueWriteError, match=f"U\\+{ord(text[-1] if len(text) < 3 else text[1]):04X}"):
        as_votable(made_up_result(repeatable=text))


@pytest.mark.parametrize(
    ("datatype", "arraysize", "value"),
    [("short", None, 2**15), ("int", None, "x"), ("float", None, 1e300), ("double", "2", [1.0])],
)
def test_values_that_do_not_fit_are_refused(datatype: str, arraysize: str | None, value: Any) -> None:
    with pytest.raises(ValueWriteError, match="column odd"):
        as_votable(replace(made_up_result([OutputColumn("odd", datatype, arraysize)], []), rows=[(value,)]))
