"""Which datasets a view has, against daf_butler's own searches in collections of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import yaml
from lsst.daf.butler import Butler, CollectionType  # type: ignore[attr-defined]  # public, but in no __all__

from examples.lsstcam import MINI, Pair, Repository, live_rows, make_repository, obscore_config
from examples.lsstcam.layout import (
    CALIBRATION,
    DEFAULTS_CHAIN,
    DRP_CHAIN,
    FIRST_RUN,
    LATISS_RAW_RUN,
    PROMPT_RUN,
    RAW_RUN,
    REHEARSAL_RUN,
    SECOND_RUN,
    TAGGED_BEST,
    TAGGED_GOOD,
    USER_RUN,
)
from tests.obscore_view.comparison import ID, differences, rows_of
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, make_test_view, open_engine

VIEW = "chosen.obscore"
TAGGED_LIVE = "LSSTCam/tagged/published"
_NOT_FOR_EXPORTERS = ("collections", "collection_type")


def _config_text(geometry: str = "none", **keys: Any) -> str:
    config = {name: value for name, value in obscore_config().items() if name not in _NOT_FOR_EXPORTERS}
    return yaml.safe_dump(config | keys | {"tapdb": {"view": VIEW, "geometry": geometry}}, sort_keys=False)


def _ids(connection: sa.Connection, view: str = VIEW) -> set[UUID]:
    return set(rows_of(connection, view))


def _found_by_butler(butler: Butler, collections: list[str], *, find_first: bool = True) -> set[UUID]:
    """Return the datasets of all configured types that a search finds."""
    registered = {one.name for one in butler.registry.queryDatasetTypes()}
    return {
        ref.id
        for name in obscore_config()["dataset_types"]
        if name in registered
        for ref in butler.query_datasets(name, collections, find_first=find_first, explain=False, limit=None)
    }


@contextmanager
def _view(connection: sa.Connection, text: str, schema: str = "plain") -> Iterator[None]:
    """Make a view, and take it away with the transaction."""
    make_test_view(connection, text, schema)
    yield
    connection.rollback()


@pytest.mark.parametrize(
    "collections",
    [
        [DEFAULTS_CHAIN],
        [DRP_CHAIN, RAW_RUN],
        [FIRST_RUN, SECOND_RUN],
        [SECOND_RUN, FIRST_RUN],
        [TAGGED_GOOD, DEFAULTS_CHAIN],
        [TAGGED_BEST, TAGGED_GOOD],
        [USER_RUN, DEFAULTS_CHAIN, LATISS_RAW_RUN, PROMPT_RUN, REHEARSAL_RUN],
        [REHEARSAL_RUN, DEFAULTS_CHAIN, DEFAULTS_CHAIN],
    ],
    ids=" > ".join,
)
def test_find_first_is_what_query_datasets_finds_first(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, collections: list[str]
) -> None:
    with view_pair_readonly.plain.butler() as butler:
        expected = _found_by_butler(butler, collections)
        everything = _found_by_butler(butler, collections, find_first=False)
    with _view(view_connection_readonly, _config_text(collections=collections)):
        assert _ids(view_connection_readonly) == expected
    assert len(expected) >= 2
    # Where nothing is hidden the test would be blind.
    if collections[0] in {DEFAULTS_CHAIN, USER_RUN, TAGGED_GOOD}:
        assert expected < everything or collections[0] == TAGGED_GOOD


def test_chains_in_chains_with_tags_and_calibrations_are_searched_as_butler_does(
    view_pair: Pair,
) -> None:
    nested = "u/someone/nested"
    with view_pair.plain.butler(writeable=True) as butler:
        butler.collections.register(nested, CollectionType.CHAINED)
        butler.collections.redefine_chain(nested, [TAGGED_BEST, CALIBRATION, DRP_CHAIN])
        butler.collections.register("u/someone/outer", CollectionType.CHAINED)
        butler.collections.redefine_chain(
            "u/someone/outer", [nested, USER_RUN, DEFAULTS_CHAIN, nested, PROMPT_RUN]
        )
        with open_engine(view_pair.url) as engine, engine.connect() as connection:
            make_test_view(connection, _config_text(collections=["u/someone/outer"]), "plain")
            connection.commit()
            first = _ids(connection)
            assert first == _found_by_butler(butler, ["u/someone/outer"])
            connection.rollback()
            # A chain that is redefined counts at once.
            butler.collections.redefine_chain(nested, [USER_RUN, FIRST_RUN])
            changed = _ids(connection)
            assert changed == _found_by_butler(butler, ["u/someone/outer"])
            assert changed != first


@pytest.mark.parametrize("tagged", [TAGGED_GOOD, TAGGED_BEST])
def test_a_tagged_view_has_what_is_in_the_collection(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, tagged: str
) -> None:
    with view_pair_readonly.plain.butler() as butler:
        expected = _found_by_butler(butler, [tagged])
    text = _config_text(collections=[tagged], collection_type="TAGGED")
    with _view(view_connection_readonly, text):
        rows = rows_of(view_connection_readonly, VIEW)
    assert rows.keys() == expected
    # The run is that of the dataset and not the tagged collection.
    assert {row["lsst_run"] for row in rows.values()} <= {RAW_RUN, FIRST_RUN, SECOND_RUN, PROMPT_RUN}


@pytest.fixture
def tagged_repository(
    clone_database: Callable[[str], sa.URL], migrated_template: str, tmp_path: Path
) -> Repository:
    """Return a repository whose live table follows one TAGGED collection, and a view that does so too."""
    config = obscore_config() | {"collection_type": "TAGGED", "collections": [TAGGED_LIVE]}
    url = clone_database(migrated_template)
    repository = make_repository(
        url, tmp_path / "tagged", schema="tagged", obscore_config=config, content=MINI
    )
    with open_engine(url) as engine, engine.begin() as connection:
        text = yaml.safe_dump(config | {"tapdb": {"view": VIEW}}, sort_keys=False)
        make_test_view(connection, text, "tagged")
    return repository


def test_associate_and_disassociate_are_followed_as_by_the_live_table(tagged_repository: Repository) -> None:
    with (
        open_engine(tagged_repository.url) as engine,
        tagged_repository.butler(writeable=True) as butler,
        engine.connect() as connection,
    ):
        butler.collections.register(TAGGED_LIVE, CollectionType.TAGGED)
        # The live manager wants references with dimension records.
        images, summaries = (
            butler.query_datasets(name, FIRST_RUN, with_dimension_records=True)
            for name in ("visit_image", "preliminary_visit_summary")
        )
        seen = []
        for change, refs in (
            (butler.registry.associate, [*summaries, *images]),
            (butler.registry.disassociate, images),
            (butler.registry.associate, images[1:]),
            (butler.registry.associate, images[1:]),
        ):
            change(TAGGED_LIVE, refs)
            connection.rollback()
            live, view = live_rows(connection, "tagged"), rows_of(connection, VIEW)
            assert differences(live, view) == []
            seen.append(frozenset(view))
        assert seen[0] == {ref.id for ref in (*summaries, *images)}
        assert not {ref.id for ref in images} & seen[1]
        assert seen[2] == seen[3] != seen[1]


def test_a_dataset_in_a_run_and_two_tagged_collections_has_one_row(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair
) -> None:
    with view_pair_readonly.plain.butler() as butler:
        both = _found_by_butler(butler, [TAGGED_GOOD]) & _found_by_butler(butler, [TAGGED_BEST])
    assert both
    query = sa.text(f"SELECT {ID} FROM {VIEWS_OVER_PLAIN['table']}")  # noqa: S608  # names of ours
    ids = list(view_connection_readonly.scalars(query))
    assert len(ids) == len(set(ids))
    assert both <= set(ids)


def test_a_collection_is_published_only_if_the_whole_name_matches(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair
) -> None:
    published = _ids(view_connection_readonly, VIEWS_OVER_PLAIN["table"])
    with view_pair_readonly.plain.butler() as butler:
        for run in (USER_RUN, REHEARSAL_RUN):
            assert not published & _found_by_butler(butler, [run])
        assert _found_by_butler(butler, [RAW_RUN]) <= published


def test_no_expressions_at_all_publish_every_run(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair
) -> None:
    with view_pair_readonly.plain.butler() as butler:
        runs = [info.name for info in butler.collections.query_info("*", CollectionType.RUN)]
        expected = _found_by_butler(butler, runs, find_first=False)
    with _view(view_connection_readonly, _config_text(collections=[], collection_type="RUN")):
        assert _ids(view_connection_readonly) == expected


def test_a_registry_with_many_runs_gives_the_same_rows(view_connection_readonly: sa.Connection) -> None:
    connection = view_connection_readonly
    expected = rows_of(connection, VIEWS_OVER_PLAIN["none"])
    connection.execute(
        sa.text(
            "WITH made AS (INSERT INTO plain.collection (collection_id, name, type) "
            "SELECT 1000000 + n, 'LSSTCam/runs/many/' || n, 1 FROM generate_series(1, :count) n "
            "RETURNING collection_id) "
            "INSERT INTO plain.run (collection_id) SELECT collection_id FROM made"
        ),
        {"count": 1000},
    )
    text = _config_text(**{name: obscore_config()[name] for name in _NOT_FOR_EXPORTERS})
    with _view(connection, text):
        assert differences(expected, rows_of(connection, VIEW)) == []
