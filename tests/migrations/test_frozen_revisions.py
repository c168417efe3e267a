"""Revisions are frozen: their texts never change, and databases that old ones made go on to the newest."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from examples.database import add_repository
from examples.lsstcam import OBSCORE_CONFIG
from obscore_view import drop_view
from obscore_view.check import check_view
from obscore_view.errors import NotMigratedError
from obscore_view.view import parts
from obscore_view.view.fill import Filling, to_be_filled
from obscore_view.view.make import find_stored_view, refresh_view
from obscore_view.view.store import STAGES, read_stored_views
from tapdb.migrate.drift import SCHEMAS
from tapdb.migrate.run import alembic_config
from tapdb.postgres.catalog import Catalog, describe, diff
from tapdb.postgres.engine import checked_connection
from tapdb.sources import execute_query, execute_text
from tests.plugins.migration_fixtures import PROJECT

MIGRATIONS = PROJECT / "migrations"
DATA = Path(__file__).with_name("data")
REVISIONS = sorted(one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
OPTIONS = {"obscore_config": str(OBSCORE_CONFIG), "ppdb_schema": "current"}

# What upgrades write anew by design: the description of what there is, and the record of how views are made.
WRITTEN_ANEW = {
    *("tap_schema.columns", "tap_schema.datalink_parameter", "tap_schema.datalink_service"),
    *("tap_schema.generation", "tap_schema.key_columns", "tap_schema.keys", "tap_schema.schemas"),
    *("tap_schema.tables", "tapdb.alembic_version", "tapdb.tap_schema_undo", "tapdb.view_definition"),
}

LATER = """
from alembic import op

revision = "later"
down_revision = "{head}"


def upgrade():
    op.execute("{statement}")


def downgrade():
    op.execute("ALTER TABLE ppdb_history.stored_query DROP COLUMN more")
"""
WITH_DEFAULT = "ALTER TABLE ppdb_history.stored_query ADD COLUMN more int NOT NULL DEFAULT 0"
WITHOUT_DEFAULT = "ALTER TABLE ppdb_history.stored_query ADD COLUMN more int NOT NULL"


def config_of(connection: sa.Connection, folder: Path, **options: str) -> Config:
    config = alembic_config(connection, **OPTIONS | options)
    config.set_main_option("script_location", str(folder))
    return config


def upgrade(url: sa.URL, revision: str, folder: Path = MIGRATIONS, **options: str) -> None:
    with checked_connection(url) as connection:
        command.upgrade(config_of(connection, folder, **options), revision)


def execute_file(url: sa.URL, path: Path) -> None:
    with checked_connection(url) as connection:
        execute_text(connection, path.read_text())
        connection.commit()


def catalog_of(url: sa.URL) -> Catalog:
    with checked_connection(url) as connection:
        return describe(connection)


def rows_of(url: sa.URL) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of all tables and views in our schemas."""
    found = {}
    with checked_connection(url) as connection:
        names = execute_query(
            connection,
            "SELECT c.oid::regclass::text AS name FROM pg_class c WHERE relkind IN ('r', 'p', 'v') "
            "AND relnamespace IN (SELECT oid FROM pg_namespace "
            "WHERE nspname IN "
            "('caom2', 'ivoa', 'ppdb', 'ppdb_history', 'provenance', 'tap_schema', 'tapdb'))",
        )
        for (name,) in names:
            rows = connection.execute(sa.select(sa.text("*")).select_from(sa.text(name)))
            found[name] = sorted(map(tuple, rows), key=repr)
    return found


def digests_of(revision: str) -> str:
    """Return the digests of all files that a revision stands on, in the form of sha256sum."""
    script = ScriptDirectory(str(MIGRATIONS)).get_revision(revision)
    text = io.StringIO()
    config = alembic_config()
    config.output_buffer = text
    command.upgrade(config, f"{script.down_revision or 'base'}:{revision}", sql=True)
    sources = re.findall(r"^-- (?:create|drop) (\S+) version (\d+)$", text.getvalue(), re.MULTILINE)
    frozen = {MIGRATIONS / "frozen" / f"{name}@{int(version):03d}.sql" for name, version in sources}
    files = sorted(str(path.relative_to(MIGRATIONS)) for path in {Path(script.path), *frozen})
    return "".join(
        f"{hashlib.sha256((MIGRATIONS / file).read_bytes()).hexdigest()}  {file}\n" for file in files
    )


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_text_of_a_revision_has_changed(revision: str) -> None:
    listed = DATA / f"{revision}.sha256"
    found = digests_of(revision)
    if not listed.exists():
        pytest.fail(f"a new revision: write {listed.name} with\n{found}")
    assert found == listed.read_text(), "frozen: write a new version of a source and a new revision instead"
    # A revision that only alters tables has no text but its own.
    alters_only = "set_object_version" not in (MIGRATIONS / found.splitlines()[-1].split()[1]).read_text()
    assert found.count("\n") > 1 or alters_only


def test_every_list_of_digests_is_of_a_revision() -> None:
    assert sorted(path.stem for path in DATA.glob("*.sha256")) == REVISIONS


@pytest.fixture(scope="module")
def registry(
    clone_for_session: Callable[[str], sa.URL],
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Return the name of a database with a Butler repository and nothing of ours; connect to it never."""
    url = clone_for_session(template_database)
    add_repository(url, tmp_path_factory.mktemp("repository"))
    return str(url.database)


@pytest.fixture(scope="module")
def old_databases(registry: str, clone_for_session: Callable[[str], sa.URL]) -> dict[str, str]:
    """Return names of databases that revisions made and that were used since, by revision."""
    made = {}
    for revision in ("0001", "0002"):
        url = clone_for_session(registry)
        # The view is that of the tapdb of that revision; what describes it follows.
        upgrade(url, "0001", obscore="off")
        execute_file(url, DATA / "view_before_0003.sql")
        upgrade(url, "0001", obscore="off", ppdb="off")
        execute_file(url, DATA / "0001.sql")
        if revision != "0001":
            upgrade(url, revision, obscore="off")
        made[revision] = str(url.database)
    return made


@pytest.fixture
def with_later(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies the migrations and adds a revision of one statement."""

    def add(statement: str) -> Path:
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder)
        head = ScriptDirectory(str(folder)).get_current_head()
        (folder / "versions" / "later.py").write_text(LATER.format(head=head, statement=statement))
        return folder

    return add


def test_a_database_of_each_revision_has_rows_in_every_table(
    old_databases: dict[str, str], clone_database: Callable[[str], sa.URL]
) -> None:
    assert "0001" in old_databases
    for revision, name in old_databases.items():
        rows = rows_of(clone_database(name))
        tables = re.findall(r"frozen/(?:tables|views)/(.+)@\d+\.sql$", digests_of(revision), re.MULTILINE)
        assert [table for table in tables if not rows[table]] == []
        assert len(tables) > 20 or revision != "0001"


@pytest.mark.parametrize(
    "later",
    [pytest.param(False, id="head"), pytest.param(True, id="a later revision", marks=pytest.mark.soak)],
)
def test_a_database_of_an_old_revision_becomes_what_a_new_one_is_and_keeps_its_rows(
    old_databases: dict[str, str],
    registry: str,
    clone_database: Callable[[str], sa.URL],
    with_later: Callable[[str], Path],
    *,
    later: bool,
) -> None:
    folder = with_later(WITH_DEFAULT) if later else MIGRATIONS
    direct = clone_database(registry)
    upgrade(direct, "head", folder)
    for name in old_databases.values():
        url = clone_database(name)
        before = rows_of(url)
        upgrade(url, "head", folder)
        assert diff(catalog_of(url), catalog_of(direct)) == ()
        after = rows_of(url)
        if later:
            assert [row[-1] for row in after["ppdb_history.stored_query"]] == [0]
        kept = before.keys() - WRITTEN_ANEW - {view for view in before if view.endswith("11")}
        # What views of revision 0002 and before stood on.
        kept -= {name for name in before if re.match(r"tapdb\.(butler|ivoa_obscore)_", name)}
        # A column that a revision adds stands last.
        old_part = {
            table: [row[: len(before[table][0])] if before[table] else row for row in after[table]]
            for table in kept
        }
        assert old_part == {table: before[table] for table in kept}
        assert {"ivoa.obscore", 'ppdb."DiaForcedSource"', "ppdb_history.snapshot"} <= kept


def test_a_view_goes_with_the_revision_that_it_stands_on_and_comes_back_with_it(
    registry: str, clone_database: Callable[[str], sa.URL], caplog: pytest.LogCaptureFixture
) -> None:
    url = clone_database(registry)
    upgrade(url, "head")
    before = (catalog_of(url), rows_of(url)["ivoa.obscore"])
    assert len(before[1]) > 50
    with checked_connection(url) as connection:
        command.downgrade(config_of(connection, MIGRATIONS), "0002")
    assert "ivoa.obscore is not made: this tapdb needs a later revision for it" in caplog.text
    found = rows_of(url)
    assert "ivoa.obscore" not in found
    assert found["tapdb.view_definition"] == []
    assert not [
        one for one in map(str, catalog_of(url).facts) if "butler." in one and "trigger tapdb_" in one
    ]
    upgrade(url, "head")
    assert diff(catalog_of(url), before[0]) == ()
    assert rows_of(url)["ivoa.obscore"] == before[1]


def test_a_view_of_an_older_revision_is_told_to_be_migrated_by_each_command(
    old_databases: dict[str, str], clone_database: Callable[[str], sa.URL]
) -> None:
    url = clone_database(old_databases["0002"])
    with checked_connection(url) as connection:
        view = find_stored_view(connection, "ivoa.obscore")
        found = check_view(connection, view, deep=True)
        assert ("view ivoa.obscore", "tapdb migrate upgrade") in {(one.subject, one.remedy) for one in found}
        with pytest.raises(NotMigratedError, match="tapdb migrate upgrade"):
            refresh_view(connection, view)
        drop_view(connection, view)
        connection.commit()
    assert "ivoa.obscore" not in rows_of(url)


def test_a_revision_that_forgets_the_rows_fails_and_changes_nothing(
    old_databases: dict[str, str],
    registry: str,
    clone_database: Callable[[str], sa.URL],
    with_later: Callable[[str], Path],
) -> None:
    folder = with_later(WITHOUT_DEFAULT)
    upgrade(clone_database(registry), "head", folder)
    url = clone_database(old_databases["0001"])
    before = (catalog_of(url), rows_of(url))
    with pytest.raises(CommandError, match='column "more" of relation "stored_query" contains null values'):
        upgrade(url, "head", folder)
    assert (catalog_of(url), rows_of(url)) == before


def test_our_schemas_are_those_whose_rows_are_compared(
    old_databases: dict[str, str], clone_database: Callable[[str], sa.URL]
) -> None:
    url = clone_database(old_databases["0001"])
    upgrade(url, "head")
    tables = rows_of(url)
    # Schema caom2 is empty until somebody publishes something.
    assert {table.partition(".")[0] for table in tables} == set(SCHEMAS) - {"caom2"}


@pytest.fixture
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every registry count as large."""
    monkeypatch.setattr(parts, "LARGE", 0)


def view_rows(url: sa.URL) -> list[tuple[Any, ...]]:
    """Return what the view says of each dataset, in columns that views of all revisions have."""
    query = "SELECT registry_dataset_id, obs_id, t_min, s_ra, s_region, lsst_run FROM ivoa.obscore ORDER BY 1"
    with checked_connection(url) as connection:
        return [tuple(row) for row in execute_query(connection, query)]


def fill_all(url: sa.URL) -> None:
    """Run ``tapdb obscore fill``."""
    with checked_connection(url) as connection:
        filling = Filling(connection, timeout_ms=3000, batch_ms=1)
        for one in read_stored_views(connection, STAGES):
            if to_be_filled(one):
                filling.finish(filling.resume(one))


MOVE = (
    "UPDATE butler.visit_detector_region "
    "SET region = (SELECT max(region) FROM butler.visit_detector_region); "
    "DELETE FROM butler.{tags} WHERE dataset_id = (SELECT dataset_id FROM butler.{tags} LIMIT 1)"
)
"""A region and a dataset less: what triggers of old views follow, and what they see for themselves."""


@pytest.mark.usefixtures("nothing_is_small")
@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_view_of_an_old_revision_answers_and_is_kept_until_it_has_been_filled_again(
    old_databases: dict[str, str],
    registry: str,
    clone_database: Callable[[str], sa.URL],
    revision: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = clone_database(old_databases[revision])
    before = view_rows(url)
    locked = triggers_of(url)
    upgrade(url, "head")
    assert "tapdb obscore fill" in caplog.text
    assert view_rows(url) == before
    assert triggers_of(url) == locked
    with checked_connection(url) as connection:
        found = check_view(connection, find_stored_view(connection, "ivoa.obscore"), deep=True)
        assert ("view ivoa.obscore", "tapdb obscore fill") in {(one.subject, one.remedy) for one in found}
        query = "SELECT tag_association_table FROM butler.dataset_type WHERE name = 'visit_image'"
        ((tags,),) = execute_query(connection, query)
        execute_text(connection, MOVE.format(tags=tags))
        connection.commit()
    fewer = view_rows(url)
    assert {row[:4] for row in fewer} - {row[:4] for row in before}
    assert len(fewer) == len(before) - 1
    fill_all(url)
    assert view_rows(url) == fewer
    assert not triggers_of(url) & locked
    direct = clone_database(registry)
    upgrade(direct, "head")
    fill_all(direct)
    assert diff(catalog_of(url), catalog_of(direct)) == ()
    with checked_connection(url) as connection:
        assert not [
            one
            for one in check_view(connection, find_stored_view(connection, "ivoa.obscore"), deep=True)
            if one.severity == "error"
        ]


@pytest.mark.usefixtures("nothing_is_small")
@pytest.mark.parametrize("filled", [False, True], ids=["before it is filled", "after"])
def test_a_large_registry_is_downgraded_in_either_state(
    old_databases: dict[str, str], clone_database: Callable[[str], sa.URL], *, filled: bool
) -> None:
    url = clone_database(old_databases["0001"])
    upgrade(url, "head")
    if filled:
        fill_all(url)
    with checked_connection(url) as connection:
        command.downgrade(config_of(connection, MIGRATIONS), "0001")
    assert "ivoa.obscore" not in rows_of(url)
    assert not triggers_of(url)


def triggers_of(url: sa.URL) -> set[tuple[Any, ...]]:
    """Return the triggers on Butler's tables that call functions of ours."""
    query = (
        "SELECT t.tgrelid::regclass::text, t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE p.pronamespace = 'tapdb'::regnamespace AND c.relnamespace = 'butler'::regnamespace"
    )
    with checked_connection(url) as connection:
        return {tuple(row) for row in execute_query(connection, query)}
