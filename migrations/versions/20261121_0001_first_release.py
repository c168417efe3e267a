"""Roles, schemas, tables and functions of the first release.

Locks taken: none on any table of Butler's; everything here is new.

Revision ID: 0001
Revises:
Create Date: 2026-11-21
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OBJECTS = (
    ("roles/tapdb_owner", 1),
    ("roles/tapdb_reader", 1),
    ("schemas/ivoa", 1),
    ("schemas/ppdb", 1),
    ("schemas/tap_schema", 1),
    ("schemas/tapdb", 1),
    ("tables/tap_schema.generation", 1),
    ("tables/tap_schema.modelversion", 1),
    ("tables/tap_schema.schemas", 1),
    ("grants/tapdb_reader", 1),
    ("tables/tapdb.view_definition", 1),
    ("functions/tapdb.dataset_uuid", 1),
    ("functions/tapdb.keep_rows", 1),
    ("functions/tapdb.le_float8", 1),
    ("functions/tapdb.mjd_timestamp", 1),
    ("functions/tapdb.python_float", 1),
    ("functions/tapdb.set_region_selectivity", 1),
    ("functions/tapdb.stcs_vertex", 1),
    ("functions/tapdb.tai_minus_utc", 1),
    ("tables/tapdb.tap_schema_undo", 1),
    ("tables/tap_schema.tables", 1),
    ("views/tap_schema.schemas11", 1),
    ("tables/tapdb.dataset_type_mapping", 1),
    ("functions/tapdb.footprint", 1),
    ("functions/tapdb.s_region", 1),
    ("functions/tapdb.utc_isot", 1),
    ("functions/tapdb.utc_mjd_to_2016", 1),
    ("tables/tap_schema.columns", 1),
    ("tables/tap_schema.datalink_service", 1),
    ("tables/tap_schema.keys", 1),
    ("views/tap_schema.tables11", 1),
    ("functions/tapdb.bounding_circle", 1),
    ("functions/tapdb.pgs_region", 1),
    ("functions/tapdb.utc_mjd", 1),
    ("views/tap_schema.columns11", 1),
    ("tables/tap_schema.datalink_parameter", 1),
    ("tables/tap_schema.key_columns", 1),
    ("views/tap_schema.keys11", 1),
    ("views/tap_schema.key_columns11", 1),
    ("functions/ppdb_history.advance", 1),
    ("functions/ppdb_history.enter", 1),
    ("functions/ppdb_history.keep_versions", 1),
    ("functions/ppdb_history.lock_clock", 1),
    ("functions/ppdb_history.refuse", 1),
    ("functions/ppdb_history.refuse_change", 1),
    ("functions/ppdb_history.snapshot_at", 1),
    ("functions/ppdb_history.snapshot_digest", 1),
    ("functions/ppdb_history.stamp", 1),
    ("functions/ppdb_history.writing", 1),
    ("schemas/ppdb_history", 1),
    ("tables/ppdb_history.clock", 1),
    ("tables/ppdb_history.snapshot", 1),
    ("tables/ppdb_history.snapshot_table", 1),
    ("tables/ppdb_history.versioned_column", 1),
    ("tables/ppdb_history.versioned_table", 1),
    ("functions/tapdb.mjd_tai", 1),
    ("tables/ppdb_history.collection", 1),
    ("tables/ppdb_history.stored_query", 1),
    ("tables/ppdb_history.stored_query_check", 1),
    ("tables/ppdb_history.stored_query_revision", 1),
)


def upgrade() -> None:
    """Make everything."""
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Leave nothing of tapdb behind."""
    op.set_object_versions(new=(), old=OBJECTS)
