"""``tapdb ppdb replicate``, and what it says when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from lsst.dax.apdb import ApdbReplica
from lsst.dax.apdb.sql import ApdbSql

from examples.apdb import Survey, make_visit, store_visit
from ppdb_replay.errors import (
    ApdbNotReadableError,
    ApdbUnavailableError,
    PpdbRefusedError,
)
from ppdb_replay.replication.apdb_source import list_chunks, open_apdb
from ppdb_replay.replication.replicate import replicate
from tapdb.cli.root import main
from tapdb.extras import MissingExtraError

Connection = psycopg.Connection[Any]
Replicate = Callable[..., Result]


@pytest.fixture
def config(survey: Survey, tmp_path: Path) -> Path:
    """Return the configuration file of an APDB."""
    path = tmp_path / "apdb.yaml"
    survey.config.save(str(path))
    return path


@pytest.fixture
def run(config: Path, survey_database: sa.URL) -> Replicate:
    """Return a function that runs the command with some options."""
    url = survey_database.set(drivername="postgresql").render_as_string(hide_password=False)

    def run(*options: str, settle: str = "0") -> Result:
        arguments = ["ppdb", "replicate", str(config), "--url", url, "--settle", settle, *options]
        return CliRunner().invoke(main, arguments)

    return run


def test_a_dry_run_prints_the_chunks_and_changes_nothing(
    survey: Survey, ppdb: Connection, run: Replicate
) -> None:
    store_visit(survey, make_visit(0))
    store_visit(survey, make_visit(8))
    replicate(survey.replica, ppdb)
    store_visit(survey, make_visit(1))
    store_visit(survey, make_visit(4))
    store_visit(survey, make_visit(12))

    result = run("--dry-run")

    assert result.exit_code == 0, result.output
    assert [line.split("  ")[1:] for line in result.stdout.splitlines()] == [
        ["2026-01-01T01:17:30.000 TAI", "touched again"],
        ["2026-01-04T01:13:30.000 TAI", "late"],
        ["2026-01-10T01:13:30.000 TAI", "new"],
    ]
    assert result.stderr == "3 chunks would be copied.\n"
    assert len(ppdb.execute('SELECT FROM ppdb."PpdbReplicaChunk"').fetchall()) == 2


def test_once_copies_what_there_is_and_ends(survey: Survey, run: Replicate) -> None:
    for _ in range(4):
        store_visit(survey)

    first, second = run("--once"), run("--once")

    assert (first.exit_code, first.stderr) == (0, "Copied 2 chunks into schema ppdb.\n")
    assert (second.exit_code, second.stderr) == (0, "Copied 0 chunks into schema ppdb.\n")


def test_a_missing_package_is_told_with_what_to_install(
    survey: Survey, run: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lsst.dax.apdb", None)

    result = run("--once")

    assert result.exit_code == 2
    assert "pip install 'tapdb[replication]'" in result.stderr
    with pytest.raises(MissingExtraError):
        open_apdb("nowhere.yaml")


def test_a_driver_that_no_extra_brings_is_named(tmp_path: Path) -> None:
    path = tmp_path / "apdb.yaml"
    path.write_text("implementation_type: sql\ndb_url: 'mysql://nobody@127.0.0.1:1/x'\n")
    with pytest.raises(
        MissingExtraError, match=r"^reading an APDB: cannot import MySQLdb; pip install 'tapdb"
    ):
        open_apdb(str(path))


def test_what_fits_not_ends_with_one_message(survey: Survey, ppdb: Connection, run: Replicate) -> None:
    store_visit(survey)

    result = run("--once", "--schema", "public")

    assert result.exit_code == 1
    assert "the tables of schema public do not fit the APDB:\n  DiaObject: there is no" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("text", ["", "no: [yaml", "implementation_type: sql\ndb_url: 'x://u:secret@h/d'\n"])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "apdb.yaml"
    path.write_text(text)

    with pytest.raises(ApdbNotReadableError) as caught:
        open_apdb(str(path))
    assert "secret" not in str(caught.value)


def test_a_configuration_that_is_not_there_is_refused() -> None:
    with pytest.raises(ApdbNotReadableError, match="name the file that apdb-cli wrote"):
        open_apdb("/nowhere/apdb.yaml")


def test_an_apdb_that_does_not_answer_is_told_without_its_password(
    survey: Survey, config: Path, survey_database: sa.URL
) -> None:
    text = config.read_text(encoding="utf-8")
    missing = survey_database.set(drivername="postgresql+psycopg2", database="nosuch", password="s3cret")
    config.write_text(
        text.replace(survey.config.db_url, missing.render_as_string(hide_password=False)), encoding="utf-8"
    )

    with pytest.raises(ApdbUnavailableError) as caught:
        open_apdb(str(config))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_apdb_without_replication_is_told(survey: Survey) -> None:
    config = ApdbSql.init_database(db_url=survey.config.db_url, namespace="alone")

    with pytest.raises(ApdbNotReadableError, match="made without replication"):
        list_chunks(ApdbReplica.from_config(config))


def test_a_chunk_that_the_ppdb_refuses_is_named(plain_survey: Survey, plain_survey_database: sa.URL) -> None:
    store_visit(plain_survey)
    url = plain_survey_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('ALTER TABLE ppdb."DiaSource" ADD CHECK (snr < 0)')

        with pytest.raises(PpdbRefusedError, match=r"refused chunk 17\d+: new row .* violates check"):
            replicate(plain_survey.replica, connection)
        assert connection.execute('SELECT count(*) FROM ppdb."DiaObject"').fetchone() == (0,)


def test_dax_apdb_is_imported_by_nothing_but_reading_an_apdb() -> None:
    drivers = "[name for name in sys.modules if name.startswith('lsst.dax')]"
    code = f"import sys, ppdb_replay.cli.ppdb; print({drivers})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"
