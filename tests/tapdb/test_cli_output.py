"""Where commands write: a file that is named, or standard output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tapdb.cli.output import output_stream


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
