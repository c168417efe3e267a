"""The page's reader of VOTables, run by node: every value that the service writes, in pieces of any size."""

from __future__ import annotations

import io
import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from numpy import float32

from tapdb.votable import Document, Field, Param, ServiceDescriptor, write_votable, written_fields

SCRIPT = Path(__file__).with_name("read_votable.mjs")
INF, NAN = math.inf, math.nan
PIECES = ("1", "7", "1000", "10000000")

# Columns, and values of three rows; the last is NULL.
VALUES: dict[Field, tuple[Any, Any]] = {
    Field("truth", "boolean"): (True, False),
    Field("byte", "unsignedByte"): (0, 255),
    Field("small", "short"): (-(2**15), 2**15 - 1),
    Field("whole", "int"): (-(2**31), 2**31 - 1),
    Field("long", "long", unit="m", ucd="meta.id", description="Digits & <more>"): (-(2**63), 2**63 - 1),
    Field("real", "float"): (0.1, -3.4028235e38),
    Field("double", "double"): (5e-324, -1.7976931348623157e308),
    Field("odd", "double"): (INF, -INF),
    Field("nan", "double"): (NAN, 0.1),
    Field("plain", "char", "*"): ("a <b> & \"c\" 'd'", "x" * 3000),
    Field("text", "unicodeChar", "*"): ("é ß 日本 🌌 ]]>", " <script>alert(1)</script> "),
    Field("circle", "double", "3", xtype="circle"): ([1.0, -2.5, 0.1], [0.0, 0.0, 1e-9]),
    Field("polygon", "double", "*", xtype="polygon"): ([1.5] * 8, [0.25, 2.0]),
    Field("longs", "long", "*"): ([2**63 - 1, None], [0]),
    Field("truths", "boolean", "*"): ([True, None, False], [True]),
}


def document(serialization: Any, rows: list[list[Any]], **facts: Any) -> bytes:
    stream = io.BytesIO()
    known = Document(columns=written_fields(list(VALUES), rows), **facts)
    write_votable(
        known, rows, stream, serialization=serialization, after=lambda: [("QUERY_STATUS", "OVERFLOW")]
    )
    return stream.getvalue()


def read(path: Path, content: bytes, *pieces: str) -> list[dict[str, Any]]:
    path.write_bytes(content)
    found = subprocess.run(["node", SCRIPT, path, *pieces], capture_output=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr.decode()
    return list(json.loads(found.stdout))


def same(field: Field, text: str | None, value: Any) -> bool:
    """Return whether a text is that of a value: numbers are equal to the last bit."""
    if value is None or text is None:
        return value is None and text is None
    if isinstance(value, list):
        words = text.split(" ")
        return len(words) == len(value) and all(
            word == "" if one is None else same(field, word, one)
            for word, one in zip(words, value, strict=True)
        )
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, float):
        number = float(text.replace("Infinity", "inf"))
        if field.datatype == "float":
            return bool(float32(number) == float32(value)) and len(text) < 17
        return number == value or (math.isnan(number) and math.isnan(value))
    return text == str(value)


@pytest.mark.parametrize("serialization", ["BINARY2", "TABLEDATA"])
def test_every_value_is_read_in_pieces_of_any_size(tmp_path: Path, serialization: str) -> None:
    rows = [[one[0] for one in VALUES.values()], [one[1] for one in VALUES.values()], [None] * len(VALUES)]
    service = ServiceDescriptor(identifier="links", description="D", params=(Param("accessURL", "/x"),))
    content = document(serialization, rows, infos=[("ppdb_snapshot", "7")], services=[service])
    for found in read(tmp_path / "table.xml", content, *PIECES):
        assert len(found["rows"]) == 3
        for place, field in enumerate(VALUES):
            for number, row in enumerate(rows):
                text = found["rows"][number][place]
                assert same(field, text, row[place]), (field.name, text, row[place])
        long = found["fields"][4]
        assert [long[name] for name in ("unit", "ucd", "description")] == ["m", "meta.id", "Digits & <more>"]
        assert (found["status"], found["error"]) == ("OVERFLOW", "")
        assert {"name": "ppdb_snapshot", "value": "7", "text": ""} in found["infos"]
        assert found["services"][0]["params"][0] == {"name": "accessURL", "value": "/x", "ref": ""}


def test_a_document_that_is_cut_is_no_result(tmp_path: Path) -> None:
    content = document("BINARY2", [[one[0] for one in VALUES.values()]] * 100)
    for part in (content[: len(content) // 2], content[:-20], b"", b"<!DOCTYPE x><VOTABLE/>"):
        path = tmp_path / "cut.xml"
        path.write_bytes(part)
        found = subprocess.run(["node", SCRIPT, path, "1000"], capture_output=True, check=False, timeout=60)
        assert (found.returncode, b"Error:" in found.stderr) == (1, True)
