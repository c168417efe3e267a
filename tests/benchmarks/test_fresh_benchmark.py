"""The benchmark of a fresh machine takes its commands from the page for DBAs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fresh import commands_to_first_rows


def test_the_commands_are_those_of_the_page_from_the_installation_to_the_first_rows() -> None:
    commands = commands_to_first_rows()
    assert commands[0].splitlines()[:2] == ["python3 -m venv venv", "venv/bin/pip install ."]
    assert commands[1] == "tapdb extensions check"
    assert commands[-2].startswith("tapdb migrate upgrade ")
    assert "FROM ivoa.obscore" in commands[-1]


def test_what_stands_before_and_behind_is_left_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nno\n```\n## Install\n```sh\none\ntwo\n```\n```text\nno\n```\n## Make the view\n"
        "```console\n$ three\nprinted\n$ four \\\n>   more\n```\n```console\n$ no\n```\n"
    )
    assert commands_to_first_rows(page) == ["one\ntwo", "three", "four \\\n  more"]
