"""Where commands write: a file that is named, or standard output."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from astropy.io.votable import parse_single_table

from tapdb.cli.output import FINDING_COLUMNS, FORMATS, RowOutput, output_stream
from tapdb.cli.root import main
from tapdb.errors import Place
from tapdb.findings import Finding, Severity


def test_a_file_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(b"longer than before")
    with output_stream(str(file)) as stream:
        stream.write(b"now")
    assert file.read_bytes() == b"now"


def test_a_file_that_cannot_be_written_is_one_error_of_the_command_line(tmp_path: Path) -> None:
    for file in (tmp_path / "nosuch" / "file", tmp_path):
        with pytest.raises(click.FileError, match=r"No such|directory") as caught, output_stream(str(file)):
            pytest.fail("it was opened")
        assert caught.value.filename == str(file)


def test_a_full_device_is_an_error_too() -> None:
    with pytest.raises(click.FileError, match="No space left"), output_stream("/dev/full") as stream:
        stream.write(b"x")


def test_standard_output_stays_open_and_keeps_the_order() -> None:
    script = (
        "from tapdb.cli.output import output_stream\n"
        "print('before')\n"
        "with output_stream('-') as stream:\n"
        "    stream.write(b'bytes\\n')\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"before", b"bytes", b"after"]


TEXT = "λ ─ İı"
WRITER = f"""
from tapdb.cli.output import output_stream, prepare_streams
prepare_streams()
print({TEXT!r})
with output_stream('-') as stream:
    stream.write({TEXT!r}.encode())
"""


@pytest.mark.parametrize("encoding", ["iso8859-9", "ascii", "utf-8"])
def test_a_pipe_gets_utf_8_in_every_locale(encoding: str) -> None:
    variables = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", WRITER], env=variables, capture_output=True, check=True)
    assert done.stdout.decode() == f"{TEXT}\n{TEXT}"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("iso8859-9", "? ? İı"), ("ascii", "? ? ??"), ("utf-8", TEXT)]
)
def test_a_terminal_gets_its_own_encoding(encoding: str, shown: str) -> None:
    master, terminal = os.openpty()
    variables = os.environ | {"PYTHONIOENCODING": encoding}
    subprocess.run([sys.executable, "-c", WRITER], env=variables, stdout=terminal, check=True)
    os.close(terminal)
    written = os.read(master, 1000)
    os.close(master)
    assert written.decode(encoding).replace("\r\n", "\n") == f"{shown}\n{shown}"


TABLE = """
from tapdb.cli.output import output_stream, prepare_streams, write_table
prepare_streams()
with output_stream('-') as stream:
    write_table(['name', 'n'], [('é İ', 1)], stream)
"""


@pytest.mark.parametrize(
    ("encoding", "row"),
    [
        ("ascii", "| ? ?  | 1 |"),
        ("iso8859-1", "| é ?  | 1 |"),
        ("iso8859-9", "| é İ  | 1 |"),
        ("utf-8", "│ é İ  │ 1 │"),
    ],
)
def test_a_table_has_lines_that_the_terminal_can_show(encoding: str, row: str) -> None:
    master, terminal = os.openpty()
    variables = os.environ | {"PYTHONIOENCODING": encoding, "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", TABLE], env=variables, stdout=terminal, check=True)
    os.close(terminal)
    shown = os.read(master, 10_000).decode(encoding)
    os.close(master)
    assert row in shown.splitlines()
    assert ("?" in shown.replace(row, "")) is False


def test_a_name_that_is_no_utf_8_comes_out_as_its_bytes() -> None:
    program = (
        "import os; from tapdb.cli.output import prepare_streams\n"
        "prepare_streams(); print(os.fsdecode(b'\\xff'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"\xff\n"


def test_a_reader_that_has_seen_enough_is_no_error_of_a_file() -> None:
    with pytest.raises(BrokenPipeError), output_stream("-"):
        raise BrokenPipeError(32, "Broken pipe")


RECORDS: list[dict[str, Any]] = [
    {"name": 'λ, "q"', "count": 3, "good": True, "ratio": 0.1, "parts": ("a", "b"), "more": {"k": None}},
    {"name": None, "count": None, "good": None, "ratio": None, "parts": [], "more": {}},
    {"name": "[b]", "count": -(2**63), "good": False, "ratio": 1e300, "parts": ["c"], "more": {"k": "ü"}},
]
NAMES = tuple(RECORDS[0])


def written(tmp_path: Path, form: str, records: list[dict[str, Any]]) -> Path:
    file = tmp_path / f"rows.{form}"
    RowOutput(form, str(file)).write_records(NAMES, records)
    return file


def test_records_are_objects_in_json(tmp_path: Path) -> None:
    expected = [one | {"parts": list(one["parts"])} for one in RECORDS]
    assert json.loads(written(tmp_path, "json", RECORDS).read_bytes()) == expected
    assert json.loads(written(tmp_path, "json", []).read_bytes()) == []


def test_records_are_cells_in_csv_and_null_is_no_empty_text(tmp_path: Path) -> None:
    text = written(tmp_path, "csv", RECORDS).read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [
        list(NAMES),
        ['λ, "q"', "3", "true", "0.1", "a b", '{"k": null}'],
        ["", "", "", "", "", "{}"],
        ["[b]", str(-(2**63)), "false", "1e+300", "c", '{"k": "ü"}'],
    ]
    assert text.splitlines()[2] == ',,,,"",{}'


def test_records_are_typed_columns_in_a_votable(tmp_path: Path) -> None:
    table = parse_single_table(written(tmp_path, "votable", RECORDS))
    assert [field.datatype for field in table.fields] == [
        *("unicodeChar", "long", "boolean", "double", "char", "unicodeChar")
    ]
    assert list(table.array["name"].filled("")) == ['λ, "q"', "", "[b]"]
    assert table.array["count"].tolist() == [3, None, -(2**63)]
    assert table.array["good"].tolist() == [True, None, False]
    assert table.array["ratio"][[0, 2]].tolist() == [0.1, 1e300]


def test_records_are_a_table_for_people_and_brackets_are_text(tmp_path: Path) -> None:
    text = written(tmp_path, "table", RECORDS).read_text(encoding="utf-8")
    assert all(part in text for part in ("λ", "[b]", "true", "1e+300", "a b"))
    assert written(tmp_path, "table", []).read_bytes() == b""


def test_a_time_is_spelled_as_dali_does(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    when = datetime(2026, 3, 4, 5, 6, 7, 890000, tzinfo=UTC)
    RowOutput("json", str(file)).write_records(["when"], [{"when": when}])
    (record,) = json.loads(file.read_bytes())
    assert datetime.fromisoformat(record["when"]).replace(tzinfo=UTC) == when
    assert "+" not in record["when"]


@pytest.mark.parametrize(
    ("severities", "strict", "code"),
    [
        ((), True, 0),
        (("notice",), True, 0),
        (("warning",), False, 0),
        (("warning",), True, 1),
        (("notice", "error"), False, 1),
    ],
)
def test_findings_have_one_shape_and_one_rule_of_exit_codes(
    tmp_path: Path, severities: tuple[Severity, ...], *, strict: bool, code: int
) -> None:
    findings = [Finding(one, "rule", "s.t", "wrong", "mend it", Place("f", 3)) for one in severities]
    file = tmp_path / "findings"
    try:
        RowOutput("json", str(file)).write_findings(findings, strict=strict)
        ended = 0
    except SystemExit as error:
        ended = int(str(error.code))
    assert ended == code
    values = ("rule", "f:3", "s.t", "wrong", "mend it")
    assert json.loads(file.read_bytes()) == [
        dict(zip(FINDING_COLUMNS, (one, *values), strict=True)) for one in severities
    ]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group, as people type it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif command is not None:
            yield " ".join((*path, name)), command


FILES = {"tap-schema generate", "obscore export"}
"""Commands that write files of their own kind, not rows for people."""


def test_every_command_that_prints_rows_takes_the_same_formats_and_names() -> None:
    rows = 0
    for name, command in commands(main):
        options = {option: one for one in command.params for option in one.opts}
        assert "--max-rows" not in options, name
        if (output := options.get("--output")) is not None and "output" in (output.name or ""):
            assert "-o" in output.opts, name
        chosen = options.get("--format")
        if chosen is None or name in FILES:
            continue
        assert isinstance(chosen.type, click.Choice)
        if {"table", "csv", "votable"} & set(chosen.type.choices):
            # Rows of a query have all formats of the service besides.
            assert set(chosen.type.choices) >= set(FORMATS), name
            assert tuple(chosen.type.choices) == FORMATS or name == "query run", name
            assert "--output" in options, name
            rows += 1
    assert rows > 10
