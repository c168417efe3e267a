"""A change that nobody is beside is not noted, and joins with regions are estimated as searches are.

Locks taken: none on any table of Butler's.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEW = (("functions/tapdb.keep", 2), ("functions/tapdb.set_region_selectivity", 2))
OLD = tuple((name, 1) for name, _ in NEW)


def upgrade() -> None:
    """Put the new functions in the place of the old."""
    op.set_object_versions(new=NEW, old=OLD)


def downgrade() -> None:
    """Put the old ones back."""
    op.set_object_versions(new=OLD, old=NEW)
