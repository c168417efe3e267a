"""Stored queries stay on a subscriber of logical replication, too.

Locks taken: none on any table of Butler's; the three tables of stored queries, to the end, which is at once.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ALTERED = (
    ("tables/ppdb_history.stored_query", 2),
    ("tables/ppdb_history.stored_query_check", 2),
    ("tables/ppdb_history.stored_query_revision", 2),
)
"""Sources whose newest version ALTER TABLE comes to."""

REFUSE = """
CREATE TRIGGER stored_query_refuse_row BEFORE UPDATE OR DELETE ON ppdb_history.stored_query
FOR EACH ROW EXECUTE FUNCTION ppdb_history.refuse_change();
ALTER TABLE ppdb_history.stored_query
  ENABLE ALWAYS TRIGGER stored_query_refuse_change,
  ENABLE ALWAYS TRIGGER stored_query_refuse_row;
CREATE TRIGGER stored_query_check_refuse_row BEFORE UPDATE OR DELETE ON ppdb_history.stored_query_check
FOR EACH ROW EXECUTE FUNCTION ppdb_history.refuse_change();
ALTER TABLE ppdb_history.stored_query_check
  ENABLE ALWAYS TRIGGER stored_query_check_refuse_change,
  ENABLE ALWAYS TRIGGER stored_query_check_refuse_row;
CREATE TRIGGER stored_query_revision_refuse_row BEFORE UPDATE OR DELETE ON ppdb_history.stored_query_revision
FOR EACH ROW EXECUTE FUNCTION ppdb_history.refuse_change();
ALTER TABLE ppdb_history.stored_query_revision
  ENABLE ALWAYS TRIGGER stored_query_revision_refuse_change,
  ENABLE ALWAYS TRIGGER stored_query_revision_refuse_row;
"""
REFUSE_LESS = """
DROP TRIGGER stored_query_refuse_row ON ppdb_history.stored_query;
ALTER TABLE ppdb_history.stored_query ENABLE TRIGGER stored_query_refuse_change;
DROP TRIGGER stored_query_check_refuse_row ON ppdb_history.stored_query_check;
ALTER TABLE ppdb_history.stored_query_check ENABLE TRIGGER stored_query_check_refuse_change;
DROP TRIGGER stored_query_revision_refuse_row ON ppdb_history.stored_query_revision;
ALTER TABLE ppdb_history.stored_query_revision ENABLE TRIGGER stored_query_revision_refuse_change;
"""


def upgrade() -> None:
    """Let row triggers refuse changes, and let all that refuse fire for every writer."""
    op.execute(REFUSE)


def downgrade() -> None:
    """Take the row triggers away; the others fire for usual writers only."""
    op.execute(REFUSE_LESS)
