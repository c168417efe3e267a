"""Registries of every age: each has daf_butler's own live table as its oracle, in all geometry modes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic import command
from lsst.daf.butler import Butler

from examples.lsstcam import (
    Repository,
    define_visits,
    ingest_raws,
    live_rows,
    next_pointing,
    process_visit,
    replace_region,
)
from examples.lsstcam.edge_regions import polygon_around_pole
from examples.lsstcam.records import detector_region_records
from examples.lsstcam.versions import NEWEST_UNIVERSE, RegistryVersion
from tapdb.migrate.run import alembic_config
from tests.obscore_view.comparison import (
    differences,
    kept_differences,
    polygon_differences,
    rows_of,
    view_differences,
)
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, make_test_view, open_engine, view_config_text

LIVE = "butler.obscore"
VIEWS = VIEWS_OVER_PLAIN

VERSIONS = (
    RegistryVersion(universe=1),
    *(
        pytest.param(RegistryVersion(universe=number), marks=pytest.mark.soak)
        for number in range(2, NEWEST_UNIVERSE)
    ),
    RegistryVersion(universe=NEWEST_UNIVERSE),
    RegistryVersion(datasets="1.0.0"),
    RegistryVersion(collection_key="name"),
    RegistryVersion(universe=1, datasets="1.0.0", collection_key="name"),
)


def _name(version: RegistryVersion) -> str:
    return f"universe {version.universe}, datasets {version.datasets}, {version.collection_key} keys"


def _equal(connection: sa.Connection) -> int:
    """Compare the live table with all views; return how many rows it has."""
    live = live_rows(connection, "butler")
    for view in VIEWS.values():
        assert differences(live, rows_of(connection, view)) == []
        assert polygon_differences(connection, LIVE, view) == []
    assert kept_differences(connection) == {}
    return len(live)


def _ingest(butler: Butler, repository: Repository) -> None:
    """Ingest one more visit, and tell the live table of the regions of its raws."""
    pointing = next_pointing(repository.content, 120.0, 5.0)
    ids = repository.content.detector_ids
    ingest_raws(butler, repository, pointing)
    define_visits(butler, repository, [pointing])
    process_visit(butler, repository, pointing)
    regions = [
        (pointing.id, one["detector"], one["region"]) for one in detector_region_records(pointing, ids)
    ]
    manager = butler.registry.obsCoreTableManager
    assert manager is not None
    manager.update_exposure_regions(pointing.instrument, regions)
    # The live manager has no way to be told of an exposure without detector.
    with butler.transaction():
        thumbnails = butler.query_datasets(
            "exposure_thumbnail",
            "*",
            find_first=False,
            instrument=pointing.instrument,
            exposure=pointing.id,
        )
        butler.pruneDatasets(thumbnails, disassociate=True, unstore=True, purge=True)


@pytest.mark.parametrize("version", VERSIONS, ids=_name)
def test_views_over_a_registry_of_any_age_equal_its_live_table(
    versioned_repository: Callable[[RegistryVersion], Repository], version: RegistryVersion
) -> None:
    repository = versioned_repository(version)
    with (
        open_engine(repository.url) as engine,
        engine.connect() as connection,
        repository.butler(writeable=True) as butler,
    ):
        command.upgrade(alembic_config(connection, obscore="off"), "head")
        for mode, view in VIEWS.items():
            make_test_view(connection, view_config_text(view, geometry=mode), "butler")
        connection.commit()
        before = _equal(connection)
        connection.rollback()
        _ingest(butler, repository)
        assert _equal(connection) > before >= 15
        connection.rollback()
        record = detector_region_records(repository.content.pointings[0], repository.content.detector_ids)[0]
        replace_region(butler, "visit_detector_region", record | {"region": polygon_around_pole(90.0)})
        query = sa.text("SELECT count(*) FROM ivoa.obscore WHERE s_region LIKE '% 90.000000 %'")
        assert connection.scalar(query) > 0
        assert kept_differences(connection) == {}
        assert view_differences(connection, VIEWS.values()) == []
