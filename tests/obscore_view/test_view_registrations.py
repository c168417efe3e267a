"""Registries without all that the configuration names: nothing at all, or a dataset type yet to come."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from lsst.daf.butler import Butler, Config, DatasetType

from examples.lsstcam import Pair, obscore_config
from examples.lsstcam.layout import BUTLER_OPTIONS, FIRST_RUN, SECOND_RUN
from examples.lsstcam.repository import butler_url
from obscore_view.view.make import find_stored_view, refresh_view
from tests.obscore_view.comparison import differences, kept_differences, rows_of
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, make_test_view, open_engine, view_config_text

VIEW = "coming.obscore"
STORAGE_CLASS = "StructuredDataDict"


@pytest.fixture
def empty_registry(
    clone_database: Callable[[str], sa.URL], migrated_template: str, tmp_path: Path
) -> Iterator[sa.Connection]:
    """Return a connection to a database with a Butler registry in which nothing is registered."""
    url = clone_database(migrated_template)
    config = Config(dict(BUTLER_OPTIONS))
    config["registry", "db"] = butler_url(url)
    config["registry", "namespace"] = "empty"
    Butler.makeRepo(str(tmp_path / "empty"), config=config)
    with open_engine(url) as engine, engine.connect() as connection:
        yield connection


@pytest.mark.parametrize("mode", VIEWS_OVER_PLAIN)
def test_over_an_empty_registry_the_view_has_its_columns_and_no_rows(
    empty_registry: sa.Connection, view_connection_readonly: sa.Connection, mode: str
) -> None:
    make_test_view(empty_registry, view_config_text(geometry=mode), "empty")
    assert rows_of(empty_registry, "ivoa.obscore") == {}
    columns = sa.text(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
        "WHERE a.attrelid = 'ivoa.obscore'::regclass ORDER BY a.attnum"
    )
    full = list(map(tuple, view_connection_readonly.execute(columns)))
    assert list(map(tuple, empty_registry.execute(columns))) == full
    assert len(full) > 40


def _config_with(name: str, obs_id: str) -> str:
    """Return a configuration with one more dataset type, which no registry knows."""
    config = obscore_config()
    config["dataset_types"][name] = {
        "dataproduct_type": "image",
        "dataproduct_subtype": f"lsst.{name}",
        "calib_level": 3,
        "obs_id_fmt": obs_id,
    }
    return yaml.safe_dump(config | {"tapdb": {"view": VIEW}}, sort_keys=False)


def _register(butler: Butler, name: str, dimensions: tuple[str, ...]) -> None:
    group = butler.dimensions.conform(dimensions)
    butler.registry.registerDatasetType(DatasetType(name, group, STORAGE_CLASS))


def test_a_dataset_type_that_is_not_registered_is_a_warning_and_has_no_rows(
    view_connection_readonly: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connection = view_connection_readonly
    expected = rows_of(connection, VIEWS_OVER_PLAIN["table"])
    with caplog.at_level(logging.WARNING):
        make_test_view(connection, _config_with("template_image", "{visit}-{detector}"), "plain")
    assert "dataset type template_image is configured and not registered in plain" in caplog.text
    assert differences(expected, rows_of(connection, VIEW)) == []
    registered = sa.text(
        "SELECT dataset_type FROM tapdb.dataset_type_mapping WHERE view_schema = 'coming' AND NOT registered"
    )
    assert list(connection.scalars(registered)) == ["template_image"]


@pytest.mark.parametrize(
    ("dimensions", "obs_id"),
    [
        (("instrument", "visit", "detector"), "{visit}-{detector}"),
        (("instrument", "visit"), "{records[visit].name}"),
        (("skymap", "tract", "patch", "band"), "{skymap}-{tract}-{patch}-{band}"),
        ((), "{run}"),
    ],
    ids=lambda value: ",".join(value) or "none" if isinstance(value, tuple) else "",
)
def test_it_appears_by_itself_once_registered_in_a_dimension_group_that_is_there(
    view_pair: Pair, view_connection: sa.Connection, dimensions: tuple[str, ...], obs_id: str
) -> None:
    connection = view_connection
    make_test_view(connection, _config_with("template_image", obs_id), "plain")
    connection.commit()
    before = rows_of(connection, VIEW)
    connection.rollback()
    with view_pair.plain.butler(writeable=True) as butler:
        _register(butler, "template_image", dimensions)
        known = {"instrument": "LSSTCam", "visit": view_pair.plain.content.pointings[0].id, "detector": 90}
        known |= {"skymap": "lsst_cells_v1", "tract": 453, "patch": 0, "band": "r"}
        data_id = {name: known[name] for name in dimensions}
        refs = butler.registry.insertDatasets("template_image", [data_id], run=SECOND_RUN)
    after = rows_of(connection, VIEW)
    assert after.keys() - before.keys() == {ref.id for ref in refs}
    (row,) = (after[ref.id] for ref in refs)
    assert row["obs_id"] == obs_id.format(**known, run=SECOND_RUN, records={"visit": _Named(known)})
    assert row["dataproduct_subtype"] == "lsst.template_image"
    assert (row["s_region"] is None) == (dimensions == ())
    # A refreshed view has it in one place only, and the same.
    connection.rollback()
    refresh_view(connection, find_stored_view(connection, VIEW))
    assert differences(after, rows_of(connection, VIEW)) == []
    connection.rollback()


class _Named:
    """Stand-in for the visit's record in a format string of Python's."""

    def __init__(self, known: dict[str, object]) -> None:
        self.name = f"MC_O_{str(known['visit'])[:8]}_{str(known['visit'])[8:].zfill(6)}"


def test_in_a_new_dimension_group_it_appears_when_the_view_is_refreshed(
    view_pair: Pair, view_connection: sa.Connection
) -> None:
    connection = view_connection
    make_test_view(connection, _config_with("template_image", "{instrument}-{detector}-{band}"), "plain")
    connection.commit()
    before = rows_of(connection, VIEW)
    connection.rollback()
    with view_pair.plain.butler(writeable=True) as butler:
        _register(butler, "template_image", ("instrument", "detector", "band"))
        data_id = {"instrument": "LSSTCam", "detector": 90, "band": "r"}
        (ref,) = butler.registry.insertDatasets("template_image", [data_id], run=FIRST_RUN)
    assert rows_of(connection, VIEW).keys() == before.keys()
    refresh_view(connection, find_stored_view(connection, VIEW))
    connection.commit()
    after = rows_of(connection, VIEW)
    assert after.keys() - before.keys() == {ref.id}
    assert after[ref.id]["obs_id"] == "LSSTCam-90-r"
    assert kept_differences(connection) == {}
