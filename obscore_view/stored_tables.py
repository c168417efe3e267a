"""The two tables of tapdb that hold what views were made from, for queries (``sql/tables`` makes them)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

__all__ = ["dataset_type_mapping", "view_definition"]

view_definition = sa.table(
    "view_definition",
    *map(sa.column, ("view_schema", "view_name", "registry_schema", "config_yaml", "config_sha256")),
    sa.column("fingerprint", JSONB()),
    *map(sa.column, ("geometry_mode", "software_version", "created_at")),
    schema="tapdb",
)
dataset_type_mapping = sa.table(
    "dataset_type_mapping",
    *map(sa.column, ("view_schema", "view_name", "dataset_type", "registered")),
    sa.column("dimensions", sa.ARRAY(sa.Text())),
    *map(sa.column, ("dataproduct_type", "dataproduct_subtype", "calib_level", "o_ucd", "access_format")),
    *map(sa.column, ("obs_collection", "facility_name", "s_xel1", "s_xel2")),
    *map(sa.column, ("obs_id_fmt", "access_url_fmt", "obs_publisher_did_fmt")),
    sa.column("extra_columns", JSONB()),
    schema="tapdb",
)
