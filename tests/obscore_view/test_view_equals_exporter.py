"""The view equals what dax_obscore exports, except where the exporter is wrong: each a test of its own."""

from __future__ import annotations

import csv
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pyarrow.parquet
import pytest
import yaml
from lsst.daf.butler import Butler
from lsst.daf.butler.registry.obscore import RegionTypeWarning
from lsst.dax.obscore import ExporterConfig, ObscoreExporter

from examples.lsstcam import Pair, obscore_config
from examples.lsstcam.edges import edge_cases
from examples.lsstcam.layout import DEFAULTS_CHAIN, LATISS_RAW_RUN, PROMPT_RUN
from tests.obscore_view.comparison import ID, differences, rows_of
from tests.plugins.view_fixtures import make_test_view, open_engine

VIEW = "exported.obscore"
# What only Butler's live table, or the database it is in, has a use for.
_LIVE_ONLY = ("namespace", "version", "table_name", "collection_type", "indices", "spatial_plugins")


@dataclass(frozen=True, slots=True)
class Exported:
    """The exporter's rows and the view's, of one repository with one configuration."""

    parquet: Mapping[UUID, list[dict[str, Any]]]
    csv: list[dict[str, str]]
    view: Mapping[UUID, dict[str, Any]]
    pair: Pair

    @property
    def once(self) -> dict[UUID, dict[str, Any]]:
        """The exporter's rows of datasets that it exports once."""
        return {key: rows[0] for key, rows in self.parquet.items() if len(rows) == 1}

    def left_out(self, subtype: str) -> dict[UUID, dict[str, Any]]:
        """Return rows of the view that the exporter has not."""
        missing = self.view.keys() - self.parquet.keys()
        return {key: self.view[key] for key in missing if self.view[key]["dataproduct_subtype"] == subtype}


@pytest.fixture(scope="module")
def exported(view_pair_readonly: Pair, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Run the exporter on the repository with a live table, and make a view with the same configuration."""
    folder = tmp_path_factory.mktemp("exported")
    config = {name: value for name, value in obscore_config().items() if name not in _LIVE_ONLY}
    config["collections"] = [DEFAULTS_CHAIN, LATISS_RAW_RUN, PROMPT_RUN]
    repository = view_pair_readonly.live
    with repository.butler() as butler, warnings.catch_warnings():
        # The exporter warns of every region that is no polygon; they are there on purpose.
        warnings.simplefilter("ignore", RegionTypeWarning)
        exporter = ObscoreExporter(butler, ExporterConfig.model_validate(config))
        exporter.to_parquet(str(folder / "obscore.parquet"))
        exporter.to_csv(str(folder / "obscore.csv"))
    rows: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in pyarrow.parquet.read_table(folder / "obscore.parquet").to_pylist():
        rows[Butler.parse_dataset_uri(row["obs_publisher_did"]).dataset_id].append(row)
    with (folder / "obscore.csv").open() as file:
        lines = list(csv.DictReader(file))
    with open_engine(view_pair_readonly.url) as engine, engine.connect() as connection:
        text = yaml.safe_dump(config | {"tapdb": {"view": VIEW, "geometry": "none"}}, sort_keys=False)
        make_test_view(connection, text, repository.schema)
        view = rows_of(connection, VIEW)
        connection.rollback()
    return Exported(rows, lines, view, view_pair_readonly)


def test_every_dataset_that_is_exported_once_is_in_the_view_with_the_same_values(exported: Exported) -> None:
    once = exported.once
    assert len(once) > 80
    assert {row["dataproduct_subtype"] for row in once.values()} >= {
        "lsst.raw",
        "lsst.visit_image",
        "lsst.difference_image",
        "lsst.deep_coadd",
        "lsst.direct_warp",
        "lsst.exposure_thumbnail",
    }
    assert differences(once, exported.view, ids=once) == []


def test_a_wrong_value_would_be_noticed(exported: Exported) -> None:
    """A negative control of the comparison above."""
    key, row = next((key, row) for key, row in exported.once.items() if row["s_region"] is not None)
    for name, other in (
        ("s_ra", row["s_ra"] + 1e-8),
        ("t_min", row["t_min"] + 1e-10),
        ("obs_title", "x"),
        ("s_xel1", None),
    ):
        assert len(differences({key: row | {name: other}}, exported.view, ids=[key])) == 1


def test_the_csv_file_has_the_datasets_of_the_parquet_file(exported: Exported) -> None:
    assert len(exported.csv) == sum(map(len, exported.parquet.values()))
    texts = {(row["obs_publisher_did"], row["obs_id"]) for row in exported.csv}
    assert texts <= {(row["obs_publisher_did"], row["obs_id"]) for row in exported.view.values()}


def test_the_exporter_drops_raws_without_a_visit_and_the_view_has_them(exported: Exported) -> None:
    cases = {case.name: case for case in edge_cases(exported.pair.live.content)}
    dropped = exported.left_out("lsst.raw")
    expected = {
        (data_id["exposure"], data_id["detector"])
        for name in ("raw without visit", "dark", "raw with missing visit_detector_region")
        for group in cases[name].groups
        if group.dataset_type == "raw"
        for data_id in group.data_ids
    }
    assert {(row["lsst_exposure"], row["lsst_detector"]) for row in dropped.values()} == expected
    assert all(row["s_region"] is None for row in dropped.values())


def test_the_exporter_drops_thumbnails_of_exposures_without_a_visit_and_the_view_has_them(
    exported: Exported,
) -> None:
    dropped = exported.left_out("lsst.exposure_thumbnail")
    assert len(dropped) == 2
    assert all(row["s_region"] is None for row in dropped.values())


def test_the_exporter_has_raws_of_two_visits_twice_and_the_view_once(exported: Exported) -> None:
    twice = {key: rows for key, rows in exported.parquet.items() if len(rows) > 1}
    raws = {key: rows for key, rows in twice.items() if rows[0]["dataproduct_subtype"] == "lsst.raw"}
    (case,) = (one for one in edge_cases(exported.pair.live.content) if one.name == "exposure in two visits")
    assert len(raws) == sum(len(group.data_ids) for group in case.groups if group.dataset_type == "raw")
    for key, rows in twice.items():
        assert len(rows) == 2
        assert rows[0]["s_region"] != rows[1]["s_region"]
        # The view takes the visit with the lower number, which is one of the two.
        assert min(len(differences({key: row}, exported.view, ids=[key])) for row in rows) == 0


def test_nothing_else_is_in_the_view(exported: Exported) -> None:
    missing = exported.view.keys() - exported.parquet.keys()
    explained = exported.left_out("lsst.raw").keys() | exported.left_out("lsst.exposure_thumbnail").keys()
    assert missing == explained
    assert all(key == row[ID] for key, row in exported.view.items())
