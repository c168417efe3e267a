"""The form of the view that joins tapdb.dataset_type_mapping has the rows of the form with constants."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from obscore_view import DatasetMapping, build_mapping, build_select, parse_config, read_registry
from tests.obscore_view.comparison import ID, differences, rows_of
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN, view_config_text

SCHEMAS = {VIEWS_OVER_PLAIN["table"]: "plain", VIEWS_OVER_PLAIN["none"]: "plain", VIEW_OVER_LIVE: "live"}


def _mapping(connection: sa.Connection, view: str) -> DatasetMapping:
    mode = next((mode for mode, name in VIEWS_OVER_PLAIN.items() if name == view), "table")
    config = parse_config(view_config_text(view, geometry=mode))
    return build_mapping(config, read_registry(connection, SCHEMAS[view]))


def _rows(connection: sa.Connection, query: sa.Executable) -> dict[object, dict[str, object]]:
    return {row[ID]: dict(row) for row in connection.execute(query).mappings()}


@pytest.mark.parametrize("view", SCHEMAS)
def test_the_joined_form_gives_the_rows_of_the_view(
    view_connection_readonly: sa.Connection, view: str
) -> None:
    select = build_select(_mapping(view_connection_readonly, view), joined=True)
    assert "dataset_type_mapping" in str(select)
    expected = rows_of(view_connection_readonly, view)
    assert len(expected) > 100
    assert differences(expected, _rows(view_connection_readonly, select)) == []  # type: ignore[arg-type]


def test_the_constant_form_does_not_join(view_connection_readonly: sa.Connection) -> None:
    select = build_select(_mapping(view_connection_readonly, VIEWS_OVER_PLAIN["none"]))
    assert "dataset_type_mapping" not in str(select)


def test_the_joined_form_follows_the_table(view_connection_readonly: sa.Connection) -> None:
    """A negative control: the constants do come from the table."""
    view = VIEWS_OVER_PLAIN["none"]
    view_connection_readonly.execute(
        sa.text(
            "UPDATE tapdb.dataset_type_mapping SET calib_level = 0, o_ucd = 'phot.mag', s_xel2 = NULL "
            "WHERE view_schema = 'untouched' AND dataset_type = 'raw'"
        )
    )
    select = build_select(_mapping(view_connection_readonly, view), joined=True)
    found = _rows(view_connection_readonly, select)
    changed = differences(rows_of(view_connection_readonly, view), found)  # type: ignore[arg-type]
    raws = [row for row in found.values() if row["dataproduct_subtype"] == "lsst.raw"]
    assert len(changed) == 3 * len(raws) > 0
    assert {(row["calib_level"], row["o_ucd"], row["s_xel2"]) for row in raws} == {(0, "phot.mag", None)}


def test_the_table_says_what_a_dba_has_to_know(view_connection_readonly: sa.Connection) -> None:
    query = sa.text(
        "SELECT dataset_type, registered, dimensions, calib_level, obs_id_fmt, obs_collection, "
        "extra_columns -> 'pol_xel' FROM tapdb.dataset_type_mapping "
        "WHERE view_schema = 'ivoa' AND view_name = 'obscore' ORDER BY dataset_type"
    )
    rows = view_connection_readonly.execute(query).all()
    assert len(rows) == 14
    assert tuple(next(row for row in rows if row.dataset_type == "raw")) == (
        "raw",
        True,
        ["instrument", "detector", "exposure"],
        1,
        "{records[exposure].obs_id}-{records[detector].full_name}",
        "LSST.Demo.raw",
        1,
    )
