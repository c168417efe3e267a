"""Restrictions of a configuration on datasets."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from examples.lsstcam.pair import Pair
from examples.lsstcam.repository import obscore_config
from obscore_view import build_mapping, build_select, create_view, parse_config, read_registry
from obscore_view.errors import MappingError
from obscore_view.view.published import render
from tapdb.postgres.engine import create_engine

EXPRESSION = "instrument = 'LSSTCam' AND detector IN (0..100) AND visit.exposure_time > 10.0"


def _config(*constraints: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {
            **obscore_config(),
            "dataset_type_constraints": {"visit_image": list(constraints)},
            "tapdb": {"view": "ivoa.restricted", "geometry": "none"},
        },
        sort_keys=False,
    )


def _statement(pair: Pair, *constraints: dict[str, Any]) -> str:
    engine = create_engine(pair.url)
    with engine.connect() as connection:
        mapping = build_mapping(parse_config(_config(*constraints)), read_registry(connection, "plain"))
    engine.dispose()
    return render(build_select(mapping)).as_string(None)


def test_extra_dimensions_that_datasets_have_change_nothing(butler_pair_readonly: Pair) -> None:
    given = {"where": EXPRESSION}
    extra = {**given, "extra_dims": ["detector"]}
    assert _statement(butler_pair_readonly, extra) == _statement(butler_pair_readonly, given)


def test_extra_dimensions_that_datasets_lack_are_refused(butler_pair_readonly: Pair) -> None:
    with pytest.raises(MappingError, match="extra_dims has tract, which datasets with dimensions"):
        _statement(butler_pair_readonly, {"where": EXPRESSION, "extra_dims": ["tract"]})


def test_the_datasets_of_a_restricted_view_are_those_that_butler_finds(view_pair: Pair) -> None:
    engine = create_engine(view_pair.url)
    with engine.connect() as connection:
        text = _config({"where": EXPRESSION}, {"where": "band = 'u'"})
        create_view(connection, parse_config(text), registry_schema="plain", config_yaml=text)
        query = sa.text(
            "SELECT registry_dataset_id FROM ivoa.restricted WHERE dataproduct_subtype = 'lsst.visit_image'"
        )
        found = set(connection.scalars(query))
        everything = connection.scalar(
            sa.text("SELECT count(*) FROM ivoa.obscore WHERE dataproduct_subtype = 'lsst.visit_image'")
        )
        connection.rollback()
    engine.dispose()
    with view_pair.plain.butler() as butler:
        refs = butler.registry.queryDatasets(
            "visit_image", collections=..., where=f"({EXPRESSION}) OR (instrument = 'LSSTCam' AND band = 'u')"
        )
        published = _published_runs(view_pair)
        expected = {ref.id for ref in refs if ref.run in published}
    assert found == expected
    assert 0 < len(found) < everything


def _published_runs(pair: Pair) -> set[str]:
    engine = create_engine(pair.url)
    with engine.connect() as connection:
        runs = set(connection.scalars(sa.text("SELECT DISTINCT lsst_run FROM ivoa.obscore")))
    engine.dispose()
    return runs
