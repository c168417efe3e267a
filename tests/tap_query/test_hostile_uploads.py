"""What strangers send can neither fill the memory nor keep a processor busy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# What is read has to fit into so much beside Python itself. The hostile files are made as they are read.
PROGRAM = """
import io, json, resource, time, zlib
from base64 import b64encode
from itertools import repeat
from tapdb.errors import TapdbError
from tapdb.votable.first_table import ReadLimits, VotableReader

MEGABYTES = 150
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + MEGABYTES * 2**20,) * 2)
LIMITS = ReadLimits(max_bytes=200_000_000, max_rows=100_000, max_columns=500, max_row_bytes=2_000_000)


class Parts(io.RawIOBase):
    def __init__(self, parts):
        self.parts, self.waiting = iter(parts), b""

    def read(self, size=-1):
        while len(self.waiting) < size:
            part = next(self.parts, b"")
            if not part:
                break
            self.waiting += part
        part, self.waiting = self.waiting[:size], self.waiting[size:]
        return part


def packed(parts):
    packer = zlib.compressobj(1, wbits=31)
    for part in parts:
        yield from filter(None, [packer.compress(part)])
    yield packer.flush()


HEAD = b"<VOTABLE><RESOURCE><TABLE><FIELD name='a' datatype='char' arraysize='*'/>"
BINARY2 = HEAD + b"<DATA><BINARY2><STREAM encoding='base64'>"
TABLEDATA = HEAD + b"<DATA><TABLEDATA>"
MANY = 400
LAUGHS = b"<!DOCTYPE v [<!ENTITY a0 'ha'>" + b"".join(
    b"<!ENTITY a%d '%s'>" % (n + 1, b"&a%d;" % n * 10) for n in range(12)
) + b"]><VOTABLE>&a12;</VOTABLE>"
megabyte = b" " * 2**20
files = {
    "laughs": [LAUGHS],
    "external": [b"<!DOCTYPE v [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><VOTABLE>&a;</VOTABLE>"],
    "parameter": [b"<!DOCTYPE v SYSTEM 'http://127.0.0.1:9/v.dtd'><VOTABLE/>"],
    "entity": [b"<VOTABLE>&a;</VOTABLE>"],
    "blanks": [HEAD, *repeat(megabyte, MANY)],
    "gzip of blanks": packed([HEAD, *repeat(megabyte, MANY)]),
    "gzip of gzip": packed(packed([HEAD, *repeat(megabyte, MANY)])),
    "attribute": [b"<VOTABLE a='", *repeat(b"x" * 2**20, MANY)],
    "attributes": [b"<VOTABLE ", b" ".join(b"a%d='1'" % n for n in range(300000))],
    "name": [b"<", *repeat(b"x" * 2**20, MANY)],
    "comment": [b"<!--", *repeat(megabyte, MANY)],
    "instruction": [b"<?x ", *repeat(megabyte, MANY)],
    "depth": [b"<VOTABLE>", *repeat(b"<a>" * 100000, 100)],
    "columns": [HEAD, *repeat(b"<FIELD name='a' datatype='int'/>" * 10000, 100)],
    "description": [HEAD[:-2] + b"><DESCRIPTION>", *repeat(b"x" * 2**20, MANY)],
    "cell": [TABLEDATA + b"<TR><TD>", *repeat(b"x" * 2**20, MANY)],
    "cells": [TABLEDATA + b"<TR>", *repeat(b"<TD/>" * 100000, MANY)],
    "rows": [TABLEDATA, *repeat(b"<TR><TD/></TR>" * 10000, MANY)],
    "long rows": [TABLEDATA, b"<TR><TD>x</TD></TR>" * 9, b"<TR><TD>", *repeat(b"x" * 2**20, 3)],
    "count": [BINARY2, b64encode(b"\\0\\xff\\xff\\xff\\xff" + b"x"), *repeat(b"AAAA" * 2**18, MANY)],
    "binary rows": [BINARY2, *repeat(b64encode(b"\\0" * 15 * 2**16), MANY)],
    "no base64": [BINARY2, *repeat(megabyte, MANY)],
    "fixed": [
        HEAD.replace(b"'*'", b"'999999999x999999999'") + b"<DATA><BINARY2><STREAM encoding='base64'>",
        *repeat(b"AAAA" * 2**18, MANY),
    ],
    "numbers": [
        HEAD.replace(b"char", b"double") + b"<DATA><TABLEDATA><TR><TD>",
        *repeat(b"11 " * 2**18, 2),
        b"</TD></TR>",
        *repeat(b"<TR><TD>" + b"11 " * 2**19 + b"</TD></TR>", 3),
        b"<TR>",
    ],
}
try:
    bytes(MEGABYTES * 2**20)
    results = {}
except MemoryError:
    results = {"control": ["MemoryError", "", 0]}
for name, parts in files.items():
    begin = time.process_time()
    try:
        for row in VotableReader(Parts(parts), limits=LIMITS, unpacks=True).rows():
            pass
        kind, problem = "read", ""
    except TapdbError as error:
        kind, problem = type(error).__name__, error.problem
    results[name] = [kind, problem, time.process_time() - begin]
print(json.dumps(results))
"""

CASES = {
    "laughs": "document type",
    "external": "document type",
    "parameter": "document type",
    "entity": "undefined entity",
    "blanks": "more than 200000000 bytes",
    "gzip of blanks": "more than 200000000 bytes",
    "gzip of gzip": "no XML",
    "attribute": "a tag or comment is longer than 2000000 bytes",
    "attributes": "a tag or comment is longer than 2000000 bytes",
    "name": "a tag or comment is longer than 2000000 bytes",
    "comment": "a tag or comment is longer than 2000000 bytes",
    "instruction": "a tag or comment is longer than 2000000 bytes",
    "depth": "more than 100 elements inside of others",
    "columns": "more than 500 columns",
    "description": "a row or a description is longer than 2000000",
    "cell": "a row or a description is longer than 2000000",
    "cells": "it has more cells, and there are 1 columns",
    "rows": "more than 100000 rows",
    "long rows": "a row or a description is longer than 2000000",
    "count": "2000000 are the most",
    "binary rows": "more than 100000 rows",
    "no base64": "more than 200000000 bytes",
    "fixed": "2000000 are the most",
    "numbers": "no XML",
}


Results = dict[str, tuple[str, str, float]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return what becomes of each hostile file in a process with little memory."""
    path = tmp_path_factory.mktemp("hostile") / "read.py"
    path.write_text(PROGRAM)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=False, env=environment, timeout=200
    )
    assert done.returncode == 0, done.stderr[-1000:]
    found: Results = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_little_memory_and_time(results: Results, name: str) -> None:
    kind, problem, seconds = results[name]
    assert kind in {"VotableError", "VotableLimitError", "ValueReadError"}
    assert CASES[name] in problem
    assert seconds < 10


def test_what_takes_too_much_memory_would_be_seen(results: Results) -> None:
    assert results["control"][0] == "MemoryError"
