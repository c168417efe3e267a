"""Datasets by their data IDs.

Locks taken: none on any table of Butler's; everything here is a new function.

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OBJECTS = (("functions/tapdb.find_datasets", 1),)


def upgrade() -> None:
    """Make the function."""
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Take it away."""
    op.set_object_versions(new=(), old=OBJECTS)
