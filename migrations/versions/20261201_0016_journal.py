"""Journals of views, for those who watch: what each commit brings; nothing is kept until that is wanted.

Locks taken: none on any table of Butler's; everything here is new.

Revision ID: 0016
Revises: 0015
Create Date: 2026-12-01
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

OBJECTS = (
    ("tables/tapdb.journal_view", 1),
    ("functions/tapdb.wake_watchers", 1),
    ("tables/tapdb.journal", 1),
    ("functions/tapdb.note_journal", 1),
    ("functions/tapdb.journal_state", 1),
    ("functions/tapdb.journal_changes", 1),
    ("functions/tapdb.prune_journal", 1),
)


def upgrade() -> None:
    """Make the tables and functions."""
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Take them away, with all entries."""
    op.set_object_versions(new=(), old=OBJECTS)
