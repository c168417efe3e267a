"""What coverage is kept by: tables, functions, views in schema tapdb; nothing is kept until that is wanted.

Locks taken: none on any table of Butler's; everything here is new.

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OBJECTS = (
    ("functions/tapdb.moc_ranges", 1),
    ("functions/tapdb.moc", 1),
    ("functions/tapdb.moc_area", 1),
    ("functions/tapdb.moc_degrade", 1),
    ("functions/tapdb.moc_smoc", 1),
    ("functions/tapdb.moc_text", 1),
    ("functions/tapdb.night", 1),
    ("tables/tapdb.coverage_view", 1),
    ("tables/tapdb.coverage_delta", 1),
    ("tables/tapdb.coverage_group", 1),
    ("tables/tapdb.coverage_total", 1),
    ("tables/tapdb.region_moc", 1),
    ("functions/tapdb.note_coverage", 1),
    ("functions/tapdb.readable_views", 1),
    ("functions/tapdb.coverage_changes", 1),
    ("functions/tapdb.coverage_total_changes", 1),
    ("functions/tapdb.make_region_mocs", 1),
    ("functions/tapdb.fold_coverage", 1),
    ("functions/tapdb.coverage_density", 1),
    ("views/tapdb.coverage", 1),
    ("views/tapdb.last_night", 1),
    ("views/tapdb.coverage_growth", 1),
    ("views/tapdb.template_coverage", 1),
    ("functions/tapdb.visit_templates", 1),
    ("views/tapdb.visit_templates", 1),
    ("views/tapdb.obscore_summary", 1),
)


def upgrade() -> None:
    """Make the tables, functions and views."""
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Take them away, with all coverage that was kept: it can be made again."""
    op.set_object_versions(new=(), old=OBJECTS)
