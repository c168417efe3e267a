"""Tables of what a view keeps of each dataset are kept by statements that stand in a table.

Locks taken: none on any table of Butler's, and ``tapdb.dataset_type_mapping`` for a moment.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-29
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEW = (
    ("tables/tapdb.keeping", 1),
    ("tables/tapdb.kept_note", 1),
    ("functions/tapdb.python_fixed", 1),
    ("functions/tapdb.sky_pixel", 1),
    ("functions/tapdb.footprint", 2),
    ("functions/tapdb.note_change", 1),
    ("functions/tapdb.mend", 1),
    ("functions/tapdb.keep", 1),
)
OLD = (("functions/tapdb.footprint", 1), ("functions/tapdb.keep_rows", 1))
ALTERED = (("tables/tapdb.dataset_type_mapping", 2),)
"""Sources whose newest version ALTER TABLE comes to."""

COMMENT = "Number of the dataset type in the kept rows of the view."


def upgrade() -> None:
    """Make the tables and functions; views are made again around the migration."""
    op.execute("ALTER TABLE tapdb.dataset_type_mapping ADD COLUMN number smallint")
    op.execute(
        "ALTER TABLE tapdb.dataset_type_mapping "
        "ADD CONSTRAINT dataset_type_mapping_number_key UNIQUE (view_schema, view_name, number)"
    )
    op.execute(f"COMMENT ON COLUMN tapdb.dataset_type_mapping.number IS '{COMMENT}'")
    op.set_object_versions(new=NEW, old=OLD)


def downgrade() -> None:
    """Take them away."""
    op.set_object_versions(new=OLD, old=NEW)
    op.execute("ALTER TABLE tapdb.dataset_type_mapping DROP COLUMN number")
