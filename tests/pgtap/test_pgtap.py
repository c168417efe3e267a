"""Runs the pgTAP files of this folder, which a DBA can run with pg_prove on a database that is at head."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tapdb.server.environment import client_environment

FILES = sorted(Path(__file__).parent.glob("*.sql"))


@pytest.fixture(scope="module")
def database(clone_for_session: Callable[[str], sa.URL], migrated_template: str) -> sa.URL:
    return clone_for_session(migrated_template)


def failures(url: sa.URL, text: str) -> list[str]:
    """Return what went wrong when a pgTAP text was run: failures, tests that did not run, errors of SQL."""
    done = subprocess.run(
        ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-P", "pager=off"],
        env=client_environment(url),
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    plan = [int(match[1]) for line in lines if (match := re.fullmatch(r"1\.\.(\d+)", line))]
    run = [line for line in lines if re.match(r"(not )?ok \d+", line)]
    wrong = [f"{line}\n{done.stdout}" for line in run if line.startswith("not ok")]
    if done.returncode != 0:
        wrong.append(done.stderr)
    if plan != [len(run)]:
        wrong.append(f"planned {plan}, run {len(run)}")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pgtap_finds_nothing_wrong(database: sa.URL, path: Path) -> None:
    assert failures(database, path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT plan(1); SELECT is(1, 2, 'wrong'); SELECT * FROM finish();",
        "SELECT plan(2); SELECT is(1, 1, 'one is missing'); SELECT * FROM finish();",
        "SELECT plan(1); SELECT is(1, 1, 'then an error'); SELECT 1 / 0;",
        "SELECT 1;",
    ],
)
def test_what_is_wrong_would_be_found(database: sa.URL, text: str) -> None:
    assert failures(database, f"BEGIN; CREATE EXTENSION IF NOT EXISTS pgtap; {text} ROLLBACK;")
