"""Digests of many rows are made after the commit, so that other writers do not wait for them.

Locks taken: none on any table of Butler's. Versioned tables of a PPDB are locked until the end, since their
triggers are made again, and ``ppdb_history.snapshot`` and ``snapshot_table`` while columns are added or
dropped, which is done at once. The way back makes all digests that are pending first.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NEW = (
    ("functions/ppdb_history.enter", 2),
    ("functions/ppdb_history.keep_versions", 3),
    ("functions/ppdb_history.snapshot_digest", 2),
)
OLD = (
    ("functions/ppdb_history.enter", 1),
    ("functions/ppdb_history.keep_versions", 2),
    ("functions/ppdb_history.snapshot_digest", 1),
)
MADE = (
    ("tables/ppdb_history.pending_rows", 1),
    ("functions/ppdb_history.seal", 1),
)
ALTERED = (
    ("tables/ppdb_history.snapshot", 3),
    ("tables/ppdb_history.snapshot_table", 2),
)
"""Sources whose newest version ALTER TABLE comes to."""

ALTER = """
ALTER TABLE ppdb_history.snapshot ALTER COLUMN parent_digest DROP NOT NULL,
  ADD COLUMN sealed_mjd_tai double precision;
CREATE INDEX snapshot_open_idx ON ppdb_history.snapshot (snapshot_id) WHERE parent_digest IS NULL;
COMMENT ON COLUMN ppdb_history.snapshot.parent_digest IS
  'Digest (SHA-256) of the snapshot before, which holds that of the one before it; NULL while pending.';
COMMENT ON COLUMN ppdb_history.snapshot.sealed_mjd_tai IS
  'When its digest was made, MJD, TAI, where that was after the commit; else NULL.';
ALTER TABLE ppdb_history.snapshot_table ALTER COLUMN begun_digest DROP NOT NULL,
  ADD COLUMN begun_by xid[], ADD COLUMN found bigint, ADD COLUMN is_witnessed boolean;
CREATE INDEX snapshot_table_pending_idx ON ppdb_history.snapshot_table (snapshot_id)
  WHERE begun_digest IS NULL;
COMMENT ON COLUMN ppdb_history.snapshot_table.begun_digest IS
  'Exclusive or of the SHA-256 of each of them, in the columns of that time; NULL while it is pending.';
COMMENT ON COLUMN ppdb_history.snapshot_table.begun_by IS
  'Transactions (xmin of rows) that wrote the versions whose digest is pending; else NULL.';
COMMENT ON COLUMN ppdb_history.snapshot_table.found IS
  'Versions that were as their writer left them when the digest was made; NULL if the writer made it.';
COMMENT ON COLUMN ppdb_history.snapshot_table.is_witnessed IS
  'Whether xmin told so; false after a restore: they were counted. NULL if the writer made the digest.';
"""
ALTER_BACK = """
DROP INDEX ppdb_history.snapshot_open_idx;
DROP INDEX ppdb_history.snapshot_table_pending_idx;
ALTER TABLE ppdb_history.snapshot ALTER COLUMN parent_digest SET NOT NULL, DROP COLUMN sealed_mjd_tai;
ALTER TABLE ppdb_history.snapshot_table ALTER COLUMN begun_digest SET NOT NULL,
  DROP COLUMN begun_by, DROP COLUMN found, DROP COLUMN is_witnessed;
COMMENT ON COLUMN ppdb_history.snapshot.parent_digest IS
  'Digest (SHA-256) of the snapshot before, which holds that of the one before it, and so on.';
COMMENT ON COLUMN ppdb_history.snapshot_table.begun_digest IS
  'Exclusive or of the SHA-256 of each of them, in the columns that the table had then.';
"""


def upgrade() -> None:
    """Let digests be pending, and note by which keys their rows are found."""
    op.execute(ALTER)
    op.set_object_versions(new=(*NEW, *MADE), old=OLD)


def downgrade() -> None:
    """Make all digests that are pending, then let every writer make its own."""
    # No writer must come in between: a snapshot has a digest, or is not written.
    op.execute("LOCK TABLE ppdb_history.clock IN EXCLUSIVE MODE")
    op.execute("SELECT ppdb_history.seal()")
    op.set_object_versions(new=OLD, old=(*NEW, *MADE))
    op.execute(ALTER_BACK)
