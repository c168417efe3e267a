"""A change of any size is noted, a thousand rows a note.

Locks taken: none on any table of Butler's.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NEW = (("functions/tapdb.keep", 3),)
OLD = (("functions/tapdb.keep", 2),)


def upgrade() -> None:
    """Put the new function in the place of the old."""
    op.set_object_versions(new=NEW, old=OLD)


def downgrade() -> None:
    """Put the old one back."""
    op.set_object_versions(new=OLD, old=NEW)
