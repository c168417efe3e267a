"""``tapdb sql``: list, freeze, check, apply."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from tapdb import sources as sql_sources
from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine
from tapdb.sources import execute_text, frozen_folder, read_all_current, sql_folder

S_REGION = "functions/tapdb.s_region"
IVOA = "schemas/ivoa"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sql", *arguments])


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the command work on a copy of sql/ and of the frozen texts."""
    shutil.copytree(sql_folder(), tmp_path / "sql")
    shutil.copytree(frozen_folder(), tmp_path / "frozen")
    monkeypatch.setattr(sql_sources, "sql_folder", lambda: tmp_path / "sql")
    monkeypatch.setattr(sql_sources, "frozen_folder", lambda: tmp_path / "frozen")
    return tmp_path


def edit(folders: Path, name: str) -> None:
    path = folders / "sql" / f"{name}.sql"
    path.write_text(path.read_text() + "-- edited\n")


@pytest.fixture
def engine(migrated_database: sa.URL) -> Iterator[sa.Engine]:
    engine = create_engine(migrated_database)
    yield engine
    engine.dispose()


def url_of(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_list_shows_every_source_after_what_it_requires() -> None:
    names = [source["name"] for source in json.loads(run("list", "--format", "json").stdout)]
    assert names == [source.name for source in read_all_current()]
    rows = list(csv.DictReader(io.StringIO(run("list", "--format", "csv").stdout)))
    assert [row["name"] for row in rows] == names
    assert {row["state"] for row in rows} == {"frozen"}
    assert "roles/tapdb_owner" in run("list").stdout


def test_check_is_content_with_the_project_as_it_is() -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "")


def test_check_names_what_has_changed_and_what_was_never_frozen(folders: Path) -> None:
    edit(folders, S_REGION)
    new = (folders / "sql" / f"{IVOA}.sql").read_text()
    (folders / "sql" / "schemas" / "embargo.sql").write_text(new)
    result = run("check")
    assert result.exit_code == 1
    assert f"{S_REGION}: changed since version 1" in result.stderr
    assert "schemas/embargo: never frozen" in result.stderr


def test_check_names_a_frozen_text_that_was_edited(folders: Path) -> None:
    path = folders / "frozen" / f"{IVOA}@001.sql"
    path.write_text(path.read_text() + "\n")
    result = run("check")
    assert result.exit_code == 1
    assert f"{IVOA}: edited after it was frozen" in result.stderr


def test_freeze_writes_what_has_changed_and_prints_the_line_for_a_revision(folders: Path) -> None:
    edit(folders, S_REGION)
    planned = run("freeze", "--dry-run")
    assert planned.stdout == f'op.set_object_version("{S_REGION}", new=2, old=1)\n'
    assert not (folders / "frozen" / f"{S_REGION}@002.sql").exists()
    assert run("freeze").stdout == planned.stdout
    assert (folders / "frozen" / f"{S_REGION}@002.sql").exists()
    assert run("freeze").stdout == ""
    assert run("check").exit_code == 0


def test_freeze_can_be_limited_to_one_source(folders: Path) -> None:
    edit(folders, S_REGION)
    edit(folders, IVOA)
    assert run("freeze", IVOA).stdout == f'op.set_object_version("{IVOA}", new=2, old=1)\n'


def test_freeze_can_write_over_a_version_that_nobody_has(folders: Path) -> None:
    edit(folders, S_REGION)
    assert run("freeze", "--replace-newest").stdout == ""
    assert not (folders / "frozen" / f"{S_REGION}@002.sql").exists()
    assert run("check").exit_code == 0


def test_a_version_that_cannot_be_written_is_named_and_the_old_one_stays(folders: Path) -> None:
    edit(folders, S_REGION)
    path = folders / "frozen" / f"{S_REGION}@001.sql"
    before = path.read_bytes()
    # What is written has this name until it is whole.
    path.with_name(f".{path.name}").symlink_to("/dev/full")
    done = run("freeze", "--replace-newest", S_REGION)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {path}: No space left on device\n")
    assert path.read_bytes() == before
    assert not path.with_name(f".{path.name}").is_symlink()


def test_freeze_prints_the_line_for_a_source_that_is_new_in_any_case(folders: Path) -> None:
    shutil.copy(folders / "sql" / f"{IVOA}.sql", folders / "sql" / "schemas" / "embargo.sql")
    printed = run("freeze", "--replace-newest").stdout
    assert printed == 'op.set_object_version("schemas/embargo", new=1, old=None)\n'


def test_a_source_that_does_not_exist_is_a_usage_error(folders: Path) -> None:
    result = run("freeze", "functions/tapdb.nothing")
    assert result.exit_code == 2
    assert "there is no sql/functions/tapdb.nothing.sql" in result.stderr


def test_check_live_compares_a_database_with_sql(engine: sa.Engine) -> None:
    assert run("check", "--live", "--url", url_of(engine)).exit_code == 0
    with engine.begin() as connection:
        execute_text(connection, "COMMENT ON SCHEMA ivoa IS 'other'")
    result = run("check", "--live", "--url", url_of(engine))
    assert result.exit_code == 1
    assert "schema ivoa: comment: other -> " in result.stderr


def test_apply_mends_a_function_that_was_changed_by_hand(engine: sa.Engine) -> None:
    name = "functions/tapdb.utc_mjd"
    with engine.begin() as connection:
        execute_text(connection, "ALTER FUNCTION tapdb.utc_mjd(bigint) COST 7")
    planned = run("apply", name, "--dry-run")
    assert planned.stdout.startswith("BEGIN;\nDROP FUNCTION IF EXISTS tapdb.utc_mjd")
    assert run("check", "--live", "--url", url_of(engine)).exit_code == 1
    assert run("apply", name, "--url", url_of(engine)).exit_code == 0
    assert run("check", "--live", "--url", url_of(engine)).exit_code == 0


def test_apply_asks_before_it_empties_a_table(engine: sa.Engine) -> None:
    name = "tables/tapdb.kept_note"
    refused = run("apply", name, "--url", url_of(engine))
    assert refused.exit_code == 2
    assert "add --yes" in refused.stderr
    assert run("apply", name, "--yes", "--url", url_of(engine)).exit_code == 0


def test_apply_says_in_one_message_why_the_database_refuses(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        execute_text(connection, "CREATE VIEW ivoa.v AS SELECT tapdb.utc_mjd(1)")
    result = run("apply", "functions/tapdb.utc_mjd", "--url", url_of(engine))
    assert result.exit_code == 1
    assert "view ivoa.v depends on function tapdb.utc_mjd(bigint)" in result.stderr
    assert "Nothing was changed." in result.stderr
