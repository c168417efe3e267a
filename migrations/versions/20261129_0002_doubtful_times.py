"""Doubtful times of snapshots are noted, and rows that pass by the triggers refused.

Locks taken: none on any table of Butler's. Versioned tables of a PPDB are locked until the end, since their
triggers are made anew, and ``ppdb_history.snapshot`` while a column is added, which is done at once.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-29
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEW = (
    ("functions/ppdb_history.advance", 2),
    ("functions/ppdb_history.keep_versions", 2),
    ("functions/ppdb_history.snapshot_at", 2),
)
OLD = tuple((name, 1) for name, _ in NEW)
ALTERED = (("tables/ppdb_history.snapshot", 2),)
"""Sources whose newest version ALTER TABLE comes to."""

COMMENT = "What the wall clock said, MJD, TAI, where it was behind the snapshot before; else NULL."


def upgrade() -> None:
    """Add the column, and the functions that fill and read it."""
    op.execute("ALTER TABLE ppdb_history.snapshot ADD COLUMN wall_mjd_tai double precision")
    op.execute(f"COMMENT ON COLUMN ppdb_history.snapshot.wall_mjd_tai IS '{COMMENT}'")
    op.execute(
        "CREATE INDEX snapshot_wall_mjd_tai_idx ON ppdb_history.snapshot (snapshot_id) "
        "WHERE wall_mjd_tai IS NOT NULL"
    )
    op.set_object_versions(new=NEW, old=OLD)


def downgrade() -> None:
    """Take the column away; what the wall clock said is lost."""
    op.set_object_versions(new=OLD, old=NEW)
    op.execute("DROP INDEX ppdb_history.snapshot_wall_mjd_tai_idx")
    op.execute("ALTER TABLE ppdb_history.snapshot DROP COLUMN wall_mjd_tai")
