"""``tapdb ppdb``: what the commands print, and how they exit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from ppdb_replay.tables import PUBLISHED
from tapdb.cli.root import main
from tapdb.postgres.catalog import describe, diff
from tapdb.server.environment import client_environment
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, insert_object, newest


def run(url: sa.URL, *arguments: str) -> Result:
    environment = {"TAPDB_URL": url.render_as_string(hide_password=False), "COLUMNS": "110"}
    return CliRunner().invoke(main, ["ppdb", *arguments], env=environment)


def psql(url: sa.URL, text: str) -> None:
    subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env=client_environment(url),
        input=text,
        text=True,
        capture_output=True,
        check=True,
    )


@pytest.mark.parametrize("options", [(), ("--timestamps",)])
def test_what_dry_runs_print_makes_the_same_as_the_commands(
    migrated_database: sa.URL, clone_of_migrated: sa.URL, options: tuple[str, ...]
) -> None:
    steps = [("create", *options), ("install",), ("uninstall",), ("install", "--table", "DiaObject")]
    for step in steps:
        script = run(clone_of_migrated, *step, "--dry-run")
        assert script.exit_code == 0, script.output
        psql(clone_of_migrated, script.stdout)
        done = run(migrated_database, *step)
        assert done.exit_code == 0, done.output
        catalogs = []
        for url in (migrated_database, clone_of_migrated):
            with engine_connection(url) as session:
                catalogs.append(describe(session))
        assert diff(*catalogs) == (), step


@pytest.fixture
def clone_of_migrated(clone_database: Callable[[str], sa.URL], migrated_template: str) -> sa.URL:
    """Return one more migrated database."""
    return clone_database(migrated_template)


def test_install_says_which_tables_are_versioned(ppdb_plain_database: sa.URL) -> None:
    done = run(ppdb_plain_database, "install", "--table", "DiaObject")
    assert "All versions are kept from now on of DiaObject." in done.stderr
    again = run(ppdb_plain_database, "install", "--table", "DiaObject")
    assert "Every table is versioned already." in again.stderr
    advice = run(ppdb_plain_database, "check")
    assert advice.exit_code == 0
    assert "ppdb.DiaSource │ it is not versioned" in " ".join(advice.stdout.split())
    assert run(ppdb_plain_database, "check", "--strict").exit_code == 1


def test_uninstall_keeps_history_unless_it_is_told_to_discard_it(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.commit()
        connection.execute('DELETE FROM ppdb."DiaObject"')
        connection.commit()
    refused = run(ppdb_database, "uninstall")
    assert refused.exit_code == 1
    assert "Error: table DiaObject: it has versions that have ended" in refused.stderr
    done = run(ppdb_database, "uninstall", "--discard-history")
    assert done.exit_code == 0
    assert "No versions are kept any more of" in done.stderr


def test_check_and_verify_exit_with_1_if_something_is_wrong(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.commit()
        snapshot = newest(connection)
    assert run(ppdb_database, "check").exit_code == 0
    good = run(ppdb_database, "verify")
    assert good.exit_code == 0
    anchor = good.stdout.strip()
    assert anchor.startswith(f"{snapshot}:")
    assert run(ppdb_database, "verify", "--anchor", anchor).exit_code == 0
    psql(
        ppdb_database,
        'ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL; UPDATE ppdb."DiaObject" SET ra = 5',
    )
    broken = run(ppdb_database, "check", "--format", "json")
    assert broken.exit_code == 1
    assert {one["subject"] for one in json.loads(broken.stdout)} == {"ppdb.DiaObject"}
    bad = run(ppdb_database, "verify")
    assert bad.exit_code == 1
    assert f"snapshot {snapshot}, table DiaObject: of the 1 versions that began with it" in bad.stdout
    content = json.loads(run(ppdb_database, "verify", "--format", "json").stdout)
    assert content["tamperings"][0]["snapshot_id"] == snapshot
    assert set(content["tables"]) == set(PUBLISHED)


@pytest.mark.parametrize("anchor", ["41", "x:00", "41:zz", f"41:{'0' * 63}"])
def test_an_anchor_that_cannot_be_read_is_a_wrong_option(ppdb_database: sa.URL, anchor: str) -> None:
    done = run(ppdb_database, "verify", "--anchor", anchor)
    assert done.exit_code == 2
    assert "--anchor" in done.stderr


def test_snapshot_prints_number_time_and_digest(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.commit()
        snapshot = newest(connection)
    number, time, digest = run(ppdb_database, "snapshot").stdout.split()
    assert int(number) == snapshot
    assert len(bytes.fromhex(digest)) == 32
    assert run(ppdb_database, "snapshot", "--at", time).stdout.split() == [number, time, digest]
    earlier = json.loads(
        run(ppdb_database, "snapshot", "--at", str(float(time) - 1e-9), "--format", "json").stdout
    )
    assert earlier["snapshot_id"] == snapshot - 1
    future = run(ppdb_database, "snapshot", "--at", "99999.0")
    assert future.exit_code == 2
    assert "is in the future" in future.stderr


def test_columns_are_added_and_dropped(ppdb_database: sa.URL) -> None:
    done = run(
        ppdb_database, "add-column", "DiaObject", "extra", "double precision", "--description", "More."
    )
    assert done.exit_code == 0, done.output
    assert "DiaObject has column extra from snapshot" in done.stderr
    assert run(ppdb_database, "add-column", "DiaObject", "extra", "integer").exit_code == 1
    assert (
        "DiaObject has no column extra from" in run(ppdb_database, "drop-column", "DiaObject", "extra").stderr
    )


def test_a_felis_file_that_is_not_there_is_a_wrong_option(migrated_database: sa.URL, tmp_path: Path) -> None:
    done = run(migrated_database, "create", "--felis", str(tmp_path / "nothing.yaml"))
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr


def test_a_database_that_was_not_migrated_is_refused_in_one_message(database_url: sa.URL) -> None:
    for command in ("install", "uninstall", "check", "verify", "snapshot"):
        done = run(database_url, command)
        assert done.exit_code == 1
        assert "Make it: tapdb migrate upgrade." in done.stderr
        assert "Traceback" not in done.output


def test_check_and_snapshot_say_the_same_whatever_a_session_is_set_to(
    ppdb_database: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {command: run(ppdb_database, command).stdout for command in ("check", "snapshot")}
    options = "-c quote_all_identifiers=on -c DateStyle=SQL,DMY -c extra_float_digits=-15 -c search_path=no"
    monkeypatch.setenv("PGOPTIONS", options)
    for command, expected in usual.items():
        found = run(ppdb_database, command)
        assert (found.exit_code, found.stdout) == (0, expected), found.output
