"""Commands that make and drop tables and views leave TAP_SCHEMA true, in their own transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from astropy.io import votable
from click.testing import CliRunner, Result

from examples.lsstcam import Pair
from tap_schema.history import read_generations
from tap_schema.stored import read_rows
from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine
from tapdb.sources import execute_text
from tests.plugins.view_fixtures import view_config_text

Run = Callable[..., Result]


def run_on(url: sa.URL) -> Run:
    def run(*arguments: object) -> Result:
        environment = {"TAPDB_URL": url.render_as_string(hide_password=False)}
        return CliRunner().invoke(main, [str(one) for one in arguments], env=environment, prog_name="tapdb")

    return run


def published(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return {row.table_name for row in read_rows(connection).tables}


def columns_of(engine: sa.Engine, table: str) -> set[str]:
    with engine.connect() as connection:
        return {row.column_name for row in read_rows(connection).columns if row.table_name == table}


def comments(engine: sa.Engine) -> list[str | None]:
    with engine.connect() as connection:
        return [one.comment for one in read_generations(connection)]


@pytest.fixture
def engine(view_pair: Pair) -> Iterator[sa.Engine]:
    engine = create_engine(view_pair.url)
    yield engine
    engine.dispose()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "obscore.yaml"
    path.write_text(view_config_text("ivoa.Fresh"))
    return path


def test_a_view_is_described_when_it_is_made_and_no_longer_when_it_is_dropped(
    engine: sa.Engine, config: Path
) -> None:
    tapdb = run_on(engine.url)
    assert "ivoa.fresh" not in published(engine)
    made = tapdb("obscore", "create", "-c", config, "--registry-schema", "plain")
    assert made.exit_code == 0, made.output
    assert "ivoa.fresh" in published(engine)
    assert "s_region" in columns_of(engine, "ivoa.fresh")
    assert comments(engine)[0] == "tapdb obscore create"
    dropped = tapdb("obscore", "drop", "--view", "ivoa.fresh")
    assert dropped.exit_code == 0, dropped.output
    assert "ivoa.fresh" not in published(engine)
    assert comments(engine)[0] == "tapdb obscore drop"


def test_fields_of_an_export_have_the_ids_of_tap_schema(engine: sa.Engine, tmp_path: Path) -> None:
    tapdb, file = run_on(engine.url), tmp_path / "obscore.vot"
    assert tapdb("tap-schema", "publish").exit_code == 0
    exported = tapdb("obscore", "export", "--view", "ivoa.obscore", "-o", file)
    assert exported.exit_code == 0, exported.output
    fields = votable.parse(str(file)).get_first_table().fields
    with engine.connect() as connection:
        expected = connection.exec_driver_sql(
            "SELECT column_name, column_id FROM tap_schema.columns11 WHERE table_name = 'ivoa.ObsCore'"
        )
        assert {field.name: field.ID for field in fields} == {row[0]: row[1] for row in expected}


def test_a_refresh_that_changes_no_column_publishes_nothing(engine: sa.Engine) -> None:
    tapdb = run_on(engine.url)
    assert tapdb("tap-schema", "publish").exit_code == 0
    before = comments(engine)
    assert tapdb("obscore", "refresh", "--view", "ivoa.obscore").exit_code == 0
    assert comments(engine) == before


def test_no_describe_leaves_tap_schema_as_it_is(engine: sa.Engine, config: Path) -> None:
    tapdb = run_on(engine.url)
    before = published(engine)
    options = ("-c", config, "--registry-schema", "plain", "--no-describe")
    assert tapdb("obscore", "create", *options).exit_code == 0
    assert published(engine) == before


def test_a_view_whose_description_cannot_be_published_is_not_made(engine: sa.Engine, config: Path) -> None:
    with engine.begin() as connection:
        execute_text(connection, "REVOKE SELECT ON tap_schema.columns FROM tapdb_reader")
    made = run_on(engine.url)("obscore", "create", "-c", config, "--registry-schema", "plain")
    assert made.exit_code == 1
    assert "tap_schema.columns" in made.output
    with engine.connect() as connection:
        assert not sa.inspect(connection).has_table("fresh", "ivoa")


def test_columns_of_a_ppdb_are_described_as_they_come_and_go(ppdb_database: sa.URL) -> None:
    tapdb = run_on(ppdb_database)
    engine = create_engine(ppdb_database)
    whole = tapdb("tap-schema", "publish")
    assert whole.exit_code == 0, whole.output
    added = tapdb(
        *("ppdb", "add-column", "DiaObject", "colour", "double precision", "--description", "g minus r")
    )
    assert added.exit_code == 0, added.output
    assert "colour" in columns_of(engine, "ppdb.DiaObject")
    dropped = tapdb("ppdb", "drop-column", "DiaObject", "colour")
    assert dropped.exit_code == 0, dropped.output
    assert "colour" not in columns_of(engine, "ppdb.DiaObject")
    assert comments(engine)[:2] == ["tapdb ppdb drop-column", "tapdb ppdb add-column"]
    engine.dispose()


def test_tables_of_the_stock_that_a_database_does_without_are_no_difference(ppdb_database: sa.URL) -> None:
    run = run_on(ppdb_database)
    assert run("tap-schema", "publish").exit_code == 0
    done = run("tap-schema", "diff")
    assert (done.exit_code, done.stdout) == (0, ""), done.output
