"""Both modes give the same rows, for each rule of membership."""

from __future__ import annotations

import sqlalchemy as sa

from tests.obscore_view.comparison import view_differences
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN


def test_both_modes_give_the_same_rows(view_connection_readonly: sa.Connection) -> None:
    assert view_differences(view_connection_readonly, VIEWS_OVER_PLAIN.values()) == []
