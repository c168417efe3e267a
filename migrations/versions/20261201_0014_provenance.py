"""What was run, what it read and what it wrote: provenance of datasets.

Locks taken: none on any table of Butler's; everything here is new.

Revision ID: 0014
Revises: 0013
Create Date: 2026-12-01
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

OBJECTS = (
    ("schemas/provenance", 1),
    ("tables/tapdb.provenance_dataset", 1),
    ("tables/tapdb.provenance_edge", 1),
    ("tables/tapdb.provenance_quantum", 1),
    ("tables/tapdb.provenance_run", 1),
    ("functions/tapdb.ancestors", 1),
    ("functions/tapdb.link_progenitors", 1),
    ("views/provenance.dataset", 1),
    ("views/provenance.edge", 1),
    ("views/provenance.provenanceinput", 1),
    ("views/provenance.quantum", 1),
)


def upgrade() -> None:
    """Make the schema, its tables, views and functions."""
    op.set_object_versions(new=OBJECTS, old=())


def downgrade() -> None:
    """Take them away, with what was loaded."""
    op.set_object_versions(new=(), old=OBJECTS)
