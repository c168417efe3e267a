"""Registries of every layout that daf_butler 30 can read are really laid out that way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from examples.lsstcam import RegistryVersion, Repository, live_rows, next_pointing
from examples.lsstcam.repository import ingest_visit
from tapdb.postgres.engine import checked_connection

_VERSIONS = (
    *(RegistryVersion(universe=universe) for universe in (0, 1, 2, 5, 6, 7, 8)),
    RegistryVersion(universe=1, datasets="1.0.0"),
    RegistryVersion(datasets="1.0.0"),
    RegistryVersion(collection_key="name"),
)


@pytest.fixture(
    params=_VERSIONS, ids=lambda v: f"universe {v.universe}, datasets {v.datasets}, {v.collection_key}"
)
def version(request: pytest.FixtureRequest) -> RegistryVersion:
    found: RegistryVersion = request.param
    return found


def _columns(connection: sa.Connection, table: str) -> dict[str, str]:
    rows = connection.execute(
        sa.text(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'butler' AND table_name = :table"
        ),
        {"table": table},
    )
    return {row.column_name: row.data_type for row in rows}


def test_a_registry_of_any_layout_holds_the_content_and_takes_one_more_visit(
    versioned_repository: Callable[[RegistryVersion], Repository], version: RegistryVersion
) -> None:
    repository = versioned_repository(version)
    pointing = next_pointing(repository.content, 30.0, -10.0)
    with repository.butler(writeable=True) as butler:
        assert butler.dimensions.version == version.universe
        ingest_visit(butler, repository, pointing)
        images = butler.query_datasets("visit_image", "LSSTCam/runs/*", find_first=False)
    assert len(images) == 8  # 3 of each visit, 2 of the first visit again in the second run
    with checked_connection(repository.url) as connection:
        rows = live_rows(connection, "butler")
        assert {image.id for image in images} <= set(rows)
        assert all(rows[image.id]["s_region"].startswith("POLYGON ICRS ") for image in images)
        key = _columns(connection, "collection")
        assert ("collection_id" in key) == (version.collection_key == "integer")
        ingest_date = _columns(connection, "dataset")["ingest_date"]
        assert ingest_date == {"1.0.0": "timestamp without time zone", "2.0.0": "bigint"}[version.datasets]


def test_old_universes_lack_what_came_later(universe_repository: Callable[[int], Repository]) -> None:
    columns = {}
    for universe in (1, 2, 5, 6, 7):
        with checked_connection(universe_repository(universe).url) as connection:
            columns[universe] = {
                table: set(_columns(connection, table))
                for table in ("exposure", "visit", "visit_definition", "day_obs")
            }
    assert "visit_system" in columns[1]["visit"]
    assert "visit_system" not in columns[2]["visit"]
    assert columns[1]["visit_definition"] == {"instrument", "exposure", "visit_system", "visit"}
    assert columns[2]["visit_definition"] == {"instrument", "exposure", "visit"}
    assert "group_name" in columns[5]["exposure"]
    assert "group" in columns[6]["exposure"]
    assert not columns[5]["day_obs"]
    assert columns[6]["day_obs"]
    assert "can_see_sky" in columns[7]["exposure"] - columns[6]["exposure"]
