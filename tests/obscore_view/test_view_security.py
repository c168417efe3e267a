"""Readers see the views only, Butler's writers need no right on tapdb, a dump has all that a view needs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from psycopg import sql

from examples.lsstcam import Pair, Repository, ingest_visit, next_pointing, replace_region
from examples.lsstcam.edge_regions import polygon_around_pole
from examples.lsstcam.pair import clone_repository
from examples.lsstcam.records import detector_region_records
from tapdb.server.environment import client_environment
from tapdb.sources import execute_composed
from tests.obscore_view.comparison import (
    differences,
    kept_differences,
    polygon_differences,
    rows_of,
    view_differences,
)
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN, open_engine

VIEW = VIEWS_OVER_PLAIN["table"]
ALL_VIEWS = (*VIEWS_OVER_PLAIN.values(), VIEW_OVER_LIVE)
PASSWORD = "for-this-test-only"  # noqa: S105


@contextmanager
def _as(connection: sa.Connection, role: str) -> Iterator[None]:
    execute_composed(connection, sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    yield
    connection.rollback()


@pytest.mark.parametrize("view", ALL_VIEWS)
def test_a_reader_sees_every_row_of_a_view(view_connection_readonly: sa.Connection, view: str) -> None:
    expected = rows_of(view_connection_readonly, view)
    with _as(view_connection_readonly, "tapdb_reader"):
        assert differences(expected, rows_of(view_connection_readonly, view)) == []


def test_a_reader_can_search_by_position(view_connection_readonly: sa.Connection) -> None:
    cone = "pgs_region && scircle(spoint(radians(45), radians(89.2)), radians(0.2))"
    with _as(view_connection_readonly, "tapdb_reader"):
        assert rows_of(view_connection_readonly, VIEW, cone)


@pytest.mark.parametrize(
    "relation",
    [
        "plain.visit",
        "plain.dataset",
        "plain.butler_attributes",
        "plain.visit_detector_region",
        "live.obscore",
        "tapdb.plain_region",
        "tapdb.plain_visit_region_source",
        "tapdb.ivoa_obscore_dataset",
        "tapdb.ivoa_obscore_observation",
        "tapdb.ivoa_obscore_collection",
        "tapdb.ivoa_obscore_collection_source",
        "tapdb.keeping",
        "tapdb.kept_note",
        "tapdb.dataset_type_mapping",
        "tapdb.view_definition",
    ],
)
def test_a_reader_is_denied_everything_under_the_views(
    view_connection_readonly: sa.Connection, relation: str
) -> None:
    schema, _, name = relation.partition(".")
    query = sa.select(sa.func.count()).select_from(sa.table(name, schema=schema))
    assert view_connection_readonly.scalar(query) is not None
    with (
        _as(view_connection_readonly, "tapdb_reader"),
        pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
    ):
        view_connection_readonly.scalar(query)


def test_a_reader_cannot_change_a_view(view_connection_readonly: sa.Connection) -> None:
    with _as(view_connection_readonly, "tapdb_reader"), pytest.raises(sa.exc.DBAPIError):
        view_connection_readonly.execute(sa.text("DELETE FROM ivoa.obscore"))


@pytest.fixture
def writers_repository(view_pair: Pair, tmp_path: Path) -> Iterator[Repository]:
    """Return the plain repository, opened by a role with rights on Butler's tables only."""
    name = f"butler_writer_{os.getpid()}"
    role = sql.Identifier(name)
    with open_engine(view_pair.url) as engine:
        with engine.begin() as connection:
            execute_composed(
                connection, sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD))
            )
            for grant in ("SCHEMA plain", "ALL TABLES IN SCHEMA plain", "ALL SEQUENCES IN SCHEMA plain"):
                what = sql.SQL(grant)
                execute_composed(connection, sql.SQL("GRANT ALL ON {} TO {}").format(what, role))
        url = view_pair.url.set(username=name, password=PASSWORD)
        yield clone_repository(view_pair.plain, url, tmp_path / "writer")
        with engine.begin() as connection:
            execute_composed(connection, sql.SQL("DROP OWNED BY {}").format(role))
            execute_composed(connection, sql.SQL("DROP ROLE {}").format(role))


def test_a_writer_without_rights_on_tapdb_ingests_and_the_view_follows(
    writers_repository: Repository, view_connection: sa.Connection
) -> None:
    repository = writers_repository
    pointing = next_pointing(repository.content, 200.0, 40.0)
    with repository.butler(writeable=True) as butler:
        ingest_visit(butler, repository, pointing)
        record = detector_region_records(pointing, repository.content.detector_ids)[0]
        replace_region(butler, "visit_detector_region", record | {"region": polygon_around_pole(90.0)})
    rows = rows_of(view_connection, VIEW, f"lsst_visit = {pointing.id}", "lsst_detector IS NOT NULL")
    assert len(rows) > 2 * len(repository.content.detector_ids)
    assert all(row["s_region"] is not None for row in rows.values())
    assert kept_differences(view_connection) == {}
    assert view_differences(view_connection, VIEWS_OVER_PLAIN.values()) == []


def test_that_writer_really_has_no_right_on_tapdb(writers_repository: Repository) -> None:
    for relation in (
        "tapdb.plain_region",
        "tapdb.ivoa_obscore_dataset",
        "tapdb.view_definition",
        "ivoa.obscore",
    ):
        schema, _, name = relation.partition(".")
        query = sa.select(sa.func.count()).select_from(sa.table(name, schema=schema))
        with (
            open_engine(writers_repository.url) as engine,
            engine.connect() as connection,
            pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
        ):
            connection.execute(query)


def _run(url: sa.URL, *command: str) -> None:
    done = subprocess.run(
        command, env=os.environ | client_environment(url), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_dump_restored_elsewhere_has_the_same_rows_and_goes_on_following(
    view_pair: Pair,
    clone_database: Callable[[str], sa.URL],
    template_database: str,
    view_connection: sa.Connection,
    tmp_path: Path,
) -> None:
    expected = {view: rows_of(view_connection, view) for view in ALL_VIEWS}
    restored = clone_database(template_database)
    _run(view_pair.url, "pg_dump", "--format=custom", f"--file={tmp_path / 'dump'}")
    # The extensions are there already: making them again is what a restore may not be able to do.
    contents = subprocess.run(
        ["pg_restore", "--list", str(tmp_path / "dump")], capture_output=True, text=True, check=True
    ).stdout
    wanted = [line for line in contents.splitlines() if " EXTENSION " not in line]
    (tmp_path / "list").write_text("\n".join(wanted))
    options = ["--exit-on-error", f"--use-list={tmp_path / 'list'}", f"--dbname={restored.database}"]
    _run(restored, "pg_restore", *options, str(tmp_path / "dump"))
    with open_engine(restored) as engine, engine.connect() as connection:
        for view in ALL_VIEWS:
            assert differences(expected[view], rows_of(connection, view)) == []
        assert polygon_differences(connection, "live.obscore", VIEW_OVER_LIVE) == []
        assert kept_differences(connection) == {}
        connection.rollback()
        repository = replace(clone_repository(view_pair.plain, restored, tmp_path / "restored"), url=restored)
        pointing = next_pointing(repository.content, 200.0, 40.0)
        with repository.butler(writeable=True) as butler:
            ingest_visit(butler, repository, pointing)
        rows = rows_of(connection, VIEW, f"lsst_visit = {pointing.id}", "s_region IS NOT NULL")
        assert len(rows) > 2 * len(repository.content.detector_ids)
        assert kept_differences(connection) == {}
        assert view_differences(connection, VIEWS_OVER_PLAIN.values()) == []
        with _as(connection, "tapdb_reader"):
            assert rows_of(connection, VIEW)
