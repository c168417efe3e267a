"""A job queue, and the asynchronous jobs of services.

Locks taken: none on any table of Butler's; everything here is new. The role tapdb_service belongs to the
whole server.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OBJECTS = (
    ("roles/tapdb_service", 1),
    ("tables/tapdb.uws_job", 1),
    ("functions/tapdb.defer_job", 1),
    ("functions/tapdb.cancel_job", 1),
)
ROLE, OTHERS = OBJECTS[:1], OBJECTS[1:]


def upgrade() -> None:
    """Make the role, the queue and the table."""
    op.set_object_versions(new=ROLE, old=())
    op.set_queue_version(new=1, old=None)
    op.set_object_versions(new=OTHERS, old=())


def downgrade() -> None:
    """Take them away, with all jobs; files of results stay where they are."""
    op.set_object_versions(new=(), old=OTHERS)
    op.set_queue_version(new=None, old=1)
    op.set_object_versions(new=(), old=ROLE)
