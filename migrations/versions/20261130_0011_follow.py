"""Kept tables and versions of a PPDB follow what replication writes; several views are shown as one.

Locks taken: none on any table of Butler's or of a PPDB; all but two functions is new.

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OBJECTS = (
    ("functions/ppdb_history.apply", 1),
    ("functions/ppdb_history.fold", 1),
    ("functions/tapdb.fold", 1),
    ("functions/tapdb.follow", 1),
    ("tables/ppdb_history.applied_row", 1),
    ("tables/tapdb.combined_view", 1),
    ("tables/tapdb.followed_change", 1),
)

NEW = (
    ("functions/tapdb.keep", 4),
    ("functions/tapdb.mend", 2),
)
OLD = (
    ("functions/tapdb.keep", 3),
    ("functions/tapdb.mend", 1),
)
"""What looks records up by their indexes."""


def upgrade() -> None:
    """Make the functions and the tables."""
    op.set_object_versions(new=NEW, old=OLD)
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Take them away; a follower has to be removed before."""
    op.set_object_versions(new=(), old=OBJECTS)
    op.set_object_versions(new=OLD, old=NEW)
