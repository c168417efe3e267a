"""Links of datasets and of rows of a PPDB.

Locks taken: none on any table of Butler's; everything here is a new function.

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OBJECTS = (
    ("functions/tapdb.media_type", 1),
    ("functions/tapdb.published_datasets", 1),
    ("functions/tapdb.published_tables", 1),
    ("functions/tapdb.links", 1),
    ("functions/tapdb.identify_datasets", 1),
    ("functions/tapdb.link_datasets", 1),
    ("functions/tapdb.identify_catalogue_rows", 1),
    ("functions/tapdb.link_catalogue_rows", 1),
)


def upgrade() -> None:
    """Make the functions."""
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Take them away."""
    op.set_object_versions(new=(), old=OBJECTS)
