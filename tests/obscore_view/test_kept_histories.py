"""Whatever is done to a repository, and by how many at once: kept rows are what the registry says."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from examples.lsstcam import Pair, ingest_visit, next_pointing, obscore_config
from examples.lsstcam.layout import DEFAULTS_CHAIN, RAW_RUN, TAGGED_GOOD, USER_RUN
from tests.obscore_view.comparison import kept_differences, view_differences
from tests.obscore_view.histories import Writer
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, make_test_view, open_engine

_EXPRESSION = (
    "instrument = 'LSSTCam' AND detector IN (0..100) AND visit.exposure_time > 10.0 AND band != 'white'"
)
_RULES: dict[str, dict[str, Any]] = {
    "tagged": {"collection_type": "TAGGED", "collections": [TAGGED_GOOD]},
    "first": {
        "collection_type": None,
        "collections": [USER_RUN, DEFAULTS_CHAIN, RAW_RUN, TAGGED_GOOD],
    },
    "restricted": {"dataset_type_constraints": {"visit_image": [{"where": _EXPRESSION}]}},
}
"""What configurations say besides the demonstration's, by rule of membership."""


SOAKED = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12)]


def _pairs_of_views() -> list[tuple[str, str]]:
    """Return the views that have to be equal: kept, and read from Butler's tables alone."""
    return [(VIEWS_OVER_PLAIN["none"], VIEWS_OVER_PLAIN["table"])] + [
        (f"{rule}.none", f"{rule}.kept") for rule in _RULES
    ]


def _make_views(connection: sa.Connection) -> None:
    for rule, keys in _RULES.items():
        for name, geometry in (("none", "none"), ("kept", "table")):
            config = obscore_config() | keys | {"tapdb": {"view": f"{rule}.{name}", "geometry": geometry}}
            text = yaml.safe_dump({key: value for key, value in config.items() if value is not None})
            make_test_view(connection, text, "plain")


def _differences(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        # All views at one moment.
        connection.execution_options(isolation_level="REPEATABLE READ")
        said = [line for pair in _pairs_of_views() for line in view_differences(connection, pair)]
        return said + [f"{table}: {count}" for table, count in kept_differences(connection).items()]


@pytest.fixture(scope="module")
def ruled_template(
    view_template: Pair, clone_for_session: Callable[[str], sa.URL], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Return repositories under views of each rule, in both modes; connect to them never."""
    url = clone_for_session(str(view_template.url.database))
    with open_engine(url) as engine, engine.begin() as connection:
        _make_views(connection)
    return view_template.clone(url, tmp_path_factory.mktemp("butler") / "rules")


@pytest.fixture
def view_pair(ruled_template: Pair, clone_database: Callable[[str], sa.URL], tmp_path: Path) -> Pair:
    """Return repositories under views of each rule, of a test's own."""
    return ruled_template.clone(clone_database(str(ruled_template.url.database)), tmp_path / "butler")


@pytest.fixture
def engine(view_pair: Pair) -> Iterator[sa.Engine]:
    with open_engine(view_pair.url) as engine:
        yield engine


@pytest.mark.parametrize("first", ["removal", pytest.param("chain", marks=pytest.mark.soak)])
@pytest.mark.parametrize("committed", ["removal", "chain"])
def test_a_removal_beside_a_chain_that_takes_the_run_in_leaves_no_row(
    view_pair: Pair, engine: sa.Engine, first: str, committed: str
) -> None:
    pointing = next_pointing(view_pair.plain.content, 30.0, -10.0)
    with view_pair.plain.butler(writeable=True) as butler:
        ingest_visit(butler, view_pair.plain, pointing)
        butler.registry.registerRun("u/more")
        visit = {"instrument": pointing.instrument, "visit": pointing.id}
        images = [visit | {"detector": one} for one in view_pair.plain.content.detector_ids]
        removed, *_ = butler.registry.insertDatasets("visit_image", images, run="u/more")
    chain = sa.text(
        "INSERT INTO plain.collection_chain (parent, child, position) SELECT p.collection_id, "
        "c.collection_id, 99 FROM plain.collection p, plain.collection c "
        "WHERE p.name = :chain AND c.name = 'u/more'"
    ).bindparams(chain=DEFAULTS_CHAIN)
    _race(engine, {"removal": REMOVAL.bindparams(id=removed.id), "chain": chain}, first, committed)
    assert _differences(engine) == []


REMOVAL = sa.text(
    "WITH unstored AS (DELETE FROM plain.dataset_location WHERE dataset_id = :id) "
    "DELETE FROM plain.dataset WHERE id = :id"
)


def _race(engine: sa.Engine, changes: dict[str, sa.TextClause], first: str, committed: str) -> None:
    """Make two changes beside each other, and then a write to another table."""
    with engine.connect() as one, engine.connect() as other:
        sessions = dict(zip(changes, (one, other), strict=True))
        for name in sorted(changes, key=lambda name: name != first):
            sessions[name].execute(changes[name])
        for name in sorted(changes, key=lambda name: name != committed):
            sessions[name].commit()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE plain.patch SET region = region WHERE id = 2")


EXPOSED = "UPDATE plain.visit SET exposure_time = {} WHERE id = {}"


@pytest.mark.parametrize("first", ["removal", pytest.param("record", marks=pytest.mark.soak)])
@pytest.mark.parametrize("committed", ["record", pytest.param("removal", marks=pytest.mark.soak)])
def test_a_removal_beside_a_record_that_makes_the_datasets_wanted_leaves_no_row(
    view_pair: Pair, engine: sa.Engine, first: str, committed: str
) -> None:
    pointing = next_pointing(view_pair.plain.content, 30.0, -10.0)
    with view_pair.plain.butler(writeable=True) as butler:
        ingest_visit(butler, view_pair.plain, pointing)
        visit = {"instrument": pointing.instrument, "visit": pointing.id}
        removed, *_ = butler.query_datasets("visit_image", "*", find_first=False, data_id=visit)
    with engine.begin() as connection:
        connection.exec_driver_sql(EXPOSED.format(5, pointing.id))
        shown = sa.text("SELECT count(*) FROM restricted.kept WHERE lsst_visit = :visit")
        before = connection.scalar(shown.bindparams(visit=pointing.id))
    record = sa.text(EXPOSED.format(30, pointing.id))
    _race(engine, {"removal": REMOVAL.bindparams(id=removed.id), "record": record}, first, committed)
    assert _differences(engine) == []
    with engine.connect() as connection:
        assert connection.scalar(shown.bindparams(visit=pointing.id)) > before


def test_a_dataset_that_is_tagged_again_shows_the_band_of_today(view_pair: Pair, engine: sa.Engine) -> None:
    with view_pair.plain.butler(writeable=True) as butler:
        refs = butler.query_datasets("visit_image", TAGGED_GOOD, find_first=False)
        butler.registry.disassociate(TAGGED_GOOD, refs)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE plain.physical_filter SET band = 'white' WHERE band = 'r'")
        butler.registry.associate(TAGGED_GOOD, refs)
    assert _differences(engine) == []


@pytest.mark.parametrize("seed", [0, *SOAKED])
def test_after_each_step_of_one_writer_kept_rows_are_what_the_registry_says(
    view_pair: Pair, engine: sa.Engine, seed: int
) -> None:
    with view_pair.plain.butler(writeable=True) as butler:
        writer = Writer(0, butler, engine, random.Random(seed), view_pair.plain.content.detector_ids)
        for _ in range(5 if seed == 0 else 24):
            writer.run(1)
            assert _differences(engine) == [], writer.steps


@pytest.mark.parametrize("seed", [1, *SOAKED])
def test_after_each_round_of_three_writers_kept_rows_are_what_the_registry_says(
    view_pair: Pair, engine: sa.Engine, seed: int
) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        writers = [
            Writer(
                number,
                stack.enter_context(view_pair.plain.butler(writeable=True)),
                engine,
                random.Random(seed * 3 + number),
                view_pair.plain.content.detector_ids,
            )
            for number in range(3)
        ]
        for _ in range(2 if seed == 1 else 8):
            running = [pool.submit(writer.run, 4) for writer in writers]
            for one in running:
                one.result(timeout=120)
            # What ran at once did not see each other; the next write does.
            writers[0].change_band()
            assert _differences(engine) == [], [writer.steps for writer in writers]
