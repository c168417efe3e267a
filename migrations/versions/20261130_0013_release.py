"""Datasets and rows of the PPDB are seen when they are released: the rule, and functions that ask it.

Locks taken: none on any table of Butler's; functions alone change, and a table of rules is made.

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MADE = (
    ("tables/ppdb_history.release_rule", 1),
    ("functions/tapdb.guarded_views", 1),
    ("functions/tapdb.release_instant", 1),
    ("functions/tapdb.released_until_mjd_tai", 1),
    ("functions/tapdb.released_until_tai", 1),
)
NEW = (
    ("functions/tapdb.find_datasets", 2),
    ("functions/tapdb.link_datasets", 2),
    ("functions/tapdb.published_datasets", 2),
)
OLD = (
    ("functions/tapdb.find_datasets", 1),
    ("functions/tapdb.link_datasets", 1),
    ("functions/tapdb.published_datasets", 1),
)


def upgrade() -> None:
    """Make the rule, and let all who look for datasets ask it."""
    op.set_object_versions(new=(*MADE, *NEW), old=OLD)


def downgrade() -> None:
    """Take the rule away; views of what is released have to be dropped before: tapdb ppdb release remove."""
    op.set_object_versions(new=OLD, old=(*NEW, *MADE))
