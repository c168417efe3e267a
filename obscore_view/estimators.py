"""How PostgreSQL estimates conditions on regions: asked of its catalog."""

from __future__ import annotations

import sqlalchemy as sa

from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_query

__all__ = ["lost_estimators"]


def lost_estimators(connection: sa.Connection) -> tuple[str, ...]:
    """Return the operators on pg_sphere polygons without the estimator that the kept tables need."""
    rows = execute_query(connection, read_query("check.region_operators"))
    return tuple(row.operator for row in rows)
