"""Observations in the words of others: CAOM2, ObsLocTAP, the observing log.

Locks taken: none on any table of Butler's; everything here is new.

Revision ID: 0015
Revises: 0014
Create Date: 2026-12-01
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OBJECTS = (
    ("schemas/caom2", 1),
    ("tables/tapdb.observation_plan", 1),
    ("tables/tapdb.published_product", 1),
)


def upgrade() -> None:
    """Make what views over ObsCore views stand on."""
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Take it away, with what was recorded."""
    op.set_object_versions(new=(), old=OBJECTS)
