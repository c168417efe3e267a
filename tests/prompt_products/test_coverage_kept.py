"""Coverage follows whatever is done to a repository, and makes no writer wait."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.lsstcam import Pair, ingest_visit, next_pointing
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import FIRST_RUN
from obscore_view.view.make import find_stored_view, refresh_view
from prompt_products.coverage.keeping import (
    KeptCoverage,
    drop,
    fold,
    keep,
    read_kept,
    rebuild,
    require_kept,
)
from prompt_products.derived import TASKS, KeptCoverages
from prompt_products.errors import CoverageNotKeptError, CoverageRefusedError
from tapdb.queue.task import Running
from tests.obscore_view.histories import UndoneError, Writer
from tests.plugins.view_fixtures import open_engine
from tests.prompt_products.coverage_checks import (
    coverage_now,
    from_scratch,
    summary_from_scratch,
    summary_now,
)

VIEW = "ivoa.obscore"
NOTES = "SELECT count(*) FROM tapdb.coverage_delta"


@pytest.fixture(scope="module")
def covered_template(
    view_template: Pair, clone_for_session: Callable[[str], sa.URL], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Return repositories under views, the coverage of one of which is kept; connect to them never."""
    url = clone_for_session(str(view_template.url.database))
    with open_engine(url) as engine, engine.begin() as connection:
        rebuild(connection, keep(connection, VIEW))
    return view_template.clone(url, tmp_path_factory.mktemp("butler") / "covered")


@pytest.fixture
def covered(covered_template: Pair, clone_database: Callable[[str], sa.URL], tmp_path: Path) -> Pair:
    """Return repositories with coverage of a test's own."""
    return covered_template.clone(clone_database(str(covered_template.url.database)), tmp_path / "butler")


@pytest.fixture
def engine(covered: Pair) -> Iterator[sa.Engine]:
    with open_engine(covered.url) as engine:
        yield engine


def base_of(connection: sa.Connection) -> str:
    (kept,) = read_kept(connection)
    return kept.base


def require_equal(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        # All of it at one moment.
        connection.execution_options(isolation_level="REPEATABLE READ")
        assert coverage_now(connection) == from_scratch(connection)
        assert summary_now(connection) == summary_from_scratch(connection)


def fold_all(engine: sa.Engine) -> int | None:
    with engine.begin() as connection:
        return fold(connection, base_of(connection))


def test_coverage_and_summary_are_those_of_the_view(engine: sa.Engine) -> None:
    require_equal(engine)
    with engine.connect() as connection:
        found = coverage_now(connection)
    assert len(found) > 10
    # Coadds have no time of their own: they belong to the night in which they came.
    assert all(day is not None for _, _, _, day in found)


def test_an_ingest_is_covered_at_its_commit_and_not_before_and_not_after_a_rollback(
    covered: Pair, engine: sa.Engine
) -> None:
    pointing = next_pointing(covered.plain.content, 30.0, -10.0)
    with engine.connect() as connection:
        before, notes = coverage_now(connection), connection.exec_driver_sql(NOTES).scalar()
    with covered.plain.butler(writeable=True) as butler:
        with suppress(UndoneError), butler.transaction():
            ingest_visit(butler, covered.plain, pointing)
            with engine.connect() as connection:
                assert coverage_now(connection) == before
            raise UndoneError
        with engine.connect() as connection:
            assert coverage_now(connection) == before
            assert connection.exec_driver_sql(NOTES).scalar() == notes
        ingest_visit(butler, covered.plain, pointing)
    with engine.connect() as connection:
        assert coverage_now(connection) != before
    require_equal(engine)
    assert fold_all(engine)
    require_equal(engine)
    assert fold_all(engine) == 0


def test_two_writers_of_one_night_do_not_wait_for_each_other_nor_for_a_fold(
    covered: Pair, engine: sa.Engine
) -> None:
    content = covered.plain.content
    first = next_pointing(content, 30.0, -10.0)
    with covered.plain.butler(writeable=True) as one, covered.plain.butler(writeable=True) as other:
        second = make_pointing(
            first.day_obs, first.seq_num + 1, 31.0, -10.0, 15.0, first.physical_filter, "beside"
        )
        with one.transaction():
            ingest_visit(one, covered.plain, first)
            ingest_visit(other, covered.plain, second)
            assert fold_all(engine)
            require_equal(engine)
            with engine.connect() as connection:
                held = coverage_now(connection)
        with engine.connect() as connection:
            assert coverage_now(connection) != held
    require_equal(engine)
    fold_all(engine)
    require_equal(engine)


def test_the_moc_of_a_region_is_made_once(covered: Pair, engine: sa.Engine) -> None:
    made = "SELECT region, xmin::text FROM tapdb.region_moc ORDER BY 1"
    with covered.plain.butler(writeable=True) as butler:
        pointing = next_pointing(covered.plain.content, 30.0, -10.0)
        ingest_visit(butler, covered.plain, pointing)
        fold_all(engine)
        with engine.connect() as connection:
            before = connection.exec_driver_sql(made).all()
        visit = {"instrument": pointing.instrument, "visit": pointing.id}
        images = [visit | {"detector": one} for one in covered.plain.content.detector_ids]
        butler.registry.insertDatasets("difference_image", images, run=FIRST_RUN)
    assert fold_all(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(made).all() == before
    require_equal(engine)


@pytest.mark.parametrize("seed", [3, *(pytest.param(one, marks=pytest.mark.soak) for one in range(20, 30))])
def test_after_a_random_history_of_two_writers_beside_folds_coverage_is_what_the_view_shows(
    covered: Pair, engine: sa.Engine, seed: int
) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        writers = [
            Writer(
                number,
                stack.enter_context(covered.plain.butler(writeable=True)),
                engine,
                random.Random(seed * 2 + number),
                covered.plain.content.detector_ids,
            )
            for number in range(2)
        ]
        for turn in range(4):
            running = [pool.submit(writer.run, 5) for writer in writers]
            folding = pool.submit(fold_all, engine)
            for one in running:
                one.result(timeout=120)
            folding.result(timeout=120)
            require_equal(engine)
            if turn % 2:
                fold_all(engine)
                require_equal(engine)
    with engine.begin() as connection:
        (kept,) = read_kept(connection)
        before = coverage_now(connection)
        rebuild(connection, kept)
        assert coverage_now(connection) == before


def test_a_band_that_is_corrected_beside_an_ingest_counts(covered: Pair, engine: sa.Engine) -> None:
    pointing = next_pointing(covered.plain.content, 30.0, -10.0)
    correct = "UPDATE plain.physical_filter SET band = 'white' WHERE band = 'r'"
    with covered.plain.butler(writeable=True) as butler, engine.connect() as connection:
        with butler.transaction():
            ingest_visit(butler, covered.plain, pointing)
            connection.exec_driver_sql(correct)
            connection.commit()
            fold_all(engine)
        require_equal(engine)
        fold_all(engine)
        require_equal(engine)


def test_a_view_that_is_made_again_keeps_its_coverage(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        before = coverage_now(connection)
        refresh_view(connection, find_stored_view(connection, VIEW))
        (kept,) = read_kept(connection)
        assert not kept.is_current
        KeptCoverages().create(connection, {})
        (kept,) = read_kept(connection)
        assert kept.is_current
        assert coverage_now(connection) == before
    require_equal(engine)


def test_coverage_of_kept_tables_that_are_gone_is_not_shown(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE tapdb.coverage_view SET kept = 'ivoa_other'")
        connection.exec_driver_sql("UPDATE tapdb.coverage_group SET kept = 'ivoa_other'")
        assert coverage_now(connection) == {}


def test_around_a_migration_what_was_folded_stays(engine: sa.Engine) -> None:
    ids = "SELECT id FROM tapdb.coverage_group ORDER BY 1"
    with engine.begin() as connection:
        before = connection.exec_driver_sql(ids).all()
        objects = KeptCoverages()
        assert not objects.is_current(connection, {})
        objects.drop(connection)
        assert connection.exec_driver_sql("SELECT to_regclass('ivoa.coverage')").scalar() is None
        objects.create(connection, {})
        assert connection.exec_driver_sql(ids).all() == before
        assert all(one.is_current for one in read_kept(connection))


COUNTED = {
    "coverage": "SELECT count(*) FROM ivoa.coverage",
    "summary": "SELECT count(*) FROM ivoa.obscore_summary",
    "changes": "SELECT count(*) FROM tapdb.coverage_changes(NULL)",
    "changes of it": "SELECT count(*) FROM tapdb.coverage_changes('{base}')",
    "totals": "SELECT count(*) FROM tapdb.coverage_total_changes('{base}')",
    "density": (
        "SELECT count(*) FROM tapdb.coverage_density('ivoa.obscore', ARRAY['visit_image'], 3, NULL, NULL)"
    ),
    "visits": "SELECT count(*) FROM tapdb.visit_templates('{base}', {night})",
}


@pytest.mark.parametrize("counted", COUNTED)
def test_who_may_not_see_all_rows_of_a_view_gets_no_counts_of_them(
    covered: Pair, engine: sa.Engine, counted: str
) -> None:
    pointing = next_pointing(covered.plain.content, 30.0, -10.0)
    with covered.plain.butler(writeable=True) as butler:
        ingest_visit(butler, covered.plain, pointing)
    with engine.begin() as connection:
        query = COUNTED[counted].format(base=base_of(connection), night=pointing.day_obs)
        connection.exec_driver_sql("SET LOCAL ROLE tapdb_reader")
        assert connection.exec_driver_sql(query).scalar_one() > 0
        connection.exec_driver_sql("RESET ROLE")
        connection.exec_driver_sql("REVOKE SELECT ON ivoa.obscore FROM tapdb_reader")
        connection.exec_driver_sql("SET LOCAL ROLE tapdb_reader")
        assert connection.exec_driver_sql(query).scalar_one() == 0


def test_who_folds_needs_no_right_to_read_the_view(covered: Pair, engine: sa.Engine) -> None:
    with covered.plain.butler(writeable=True) as butler:
        ingest_visit(butler, covered.plain, next_pointing(covered.plain.content, 30.0, -10.0))
    with engine.begin() as connection:
        base = base_of(connection)
        connection.exec_driver_sql("REVOKE SELECT ON ivoa.obscore FROM tapdb_reader")
        connection.exec_driver_sql("SET LOCAL ROLE tapdb_service")
        assert connection.execute(sa.select(sa.func.tapdb.fold_coverage(base))).scalar_one() > 0
    require_equal(engine)


def test_a_worker_of_the_queue_folds(covered: Pair, engine: sa.Engine) -> None:
    with covered.plain.butler(writeable=True) as butler:
        ingest_visit(butler, covered.plain, next_pointing(covered.plain.content, 30.0, -10.0))
    (task,) = TASKS
    task.run(Running(1, engine), timestamp=0)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(NOTES).scalar() == 0
    require_equal(engine)


def test_where_nobody_asked_nothing_is_kept_and_nothing_is_published(view_connection: sa.Connection) -> None:
    assert read_kept(view_connection) == ()
    found = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'tapdb_coverage%%'"
    assert view_connection.exec_driver_sql(found).scalar() == 0
    assert view_connection.exec_driver_sql("SELECT to_regclass('ivoa.coverage')").scalar() is None
    with pytest.raises(CoverageNotKeptError, match=r"tapdb coverage keep SCHEMA\.NAME"):
        require_kept(view_connection)


@pytest.mark.parametrize(
    ("view", "said"), [("untouched.obscore", "no kept tables"), ("nowhere.at_all", "no such ObsCore view")]
)
def test_what_cannot_be_kept_is_refused(view_connection: sa.Connection, view: str, said: str) -> None:
    with pytest.raises(CoverageRefusedError, match=said):
        keep(view_connection, view)


def test_coverage_that_is_dropped_leaves_nothing(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        kept: KeptCoverage
        (kept,) = read_kept(connection)
        drop(connection, kept)
        for table in ("coverage_view", "coverage_delta", "coverage_group", "coverage_total", "region_moc"):
            assert (
                connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table, schema="tapdb")))
                == 0
            )
        assert connection.exec_driver_sql("SELECT to_regclass('ivoa.coverage')").scalar() is None
