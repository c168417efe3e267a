"""The view equals daf_butler's own live ObsCore table on the same content, row for row and column for column."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from examples.lsstcam import Pair
from examples.lsstcam.edges import edge_cases
from tests.obscore_view.comparison import (
    ID,
    SPHERE_COLUMNS,
    differences,
    kept_differences,
    polygon_differences,
    rows_of,
    view_differences,
)
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN

LIVE = "live.obscore"


def test_the_view_over_the_registry_with_a_live_table_equals_that_table(
    view_connection_readonly: sa.Connection,
) -> None:
    live, view = (rows_of(view_connection_readonly, name) for name in (LIVE, VIEW_OVER_LIVE))
    assert len(live) > 100
    assert differences(live, view) == []
    assert polygon_differences(view_connection_readonly, LIVE, VIEW_OVER_LIVE) == []


@pytest.mark.parametrize("mode", VIEWS_OVER_PLAIN)
def test_the_view_over_a_registry_without_live_table_equals_the_live_table_of_its_twin(
    view_connection_readonly: sa.Connection, mode: str
) -> None:
    live, view = (rows_of(view_connection_readonly, name) for name in (LIVE, VIEWS_OVER_PLAIN[mode]))
    assert differences(live, view, ids=live) == []
    assert polygon_differences(view_connection_readonly, LIVE, VIEWS_OVER_PLAIN[mode]) == []
