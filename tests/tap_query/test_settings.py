"""Settings that every query has, whatever the session says."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa

from adql import CompiledQuery, OutputColumn
from tap_query.execute import fetch


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TimeZone", "UTC"),
        ("extra_float_digits", "1"),
        ("standard_conforming_strings", "on"),
    ],
)
def test_every_query_has_the_same_settings(name: str, value: str, database_url: sa.URL) -> None:
    query = CompiledQuery(
        "SELECT current_setting($1) AS x", (name,), ("text",), (OutputColumn("x", "char", "*"),)
    )
    dsn = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn) as driver:
        assert fetch(driver, query, max_rows=None).rows == [(value,)]
