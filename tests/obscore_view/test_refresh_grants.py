"""Who may read a view stays the DBA's decision when the view is rebuilt."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import OID

from obscore_view import refresh_view
from obscore_view.view.make import find_stored_view
from tests.plugins.view_fixtures import VIEW_OVER_LIVE


def oid(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(sa.cast(sa.func.to_regclass(VIEW_OVER_LIVE), OID))) or 0)


def may_read(connection: sa.Connection, role: str) -> bool:
    return bool(connection.scalar(sa.select(sa.func.has_table_privilege(role, VIEW_OVER_LIVE, "SELECT"))))


def test_a_refresh_gives_nobody_the_right_to_read_and_takes_it_from_nobody(
    view_connection: sa.Connection,
) -> None:
    view_connection.exec_driver_sql("CREATE ROLE tapdb_test_embargo NOLOGIN")
    view_connection.exec_driver_sql("REVOKE SELECT ON embargo.obscore FROM tapdb_reader")
    view_connection.exec_driver_sql("GRANT SELECT ON embargo.obscore TO tapdb_test_embargo")
    before = oid(view_connection)

    refresh_view(view_connection, find_stored_view(view_connection, VIEW_OVER_LIVE))

    assert oid(view_connection) != before
    assert may_read(view_connection, "tapdb_test_embargo")
    assert not may_read(view_connection, "tapdb_reader")
