"""Tables of what a view keeps of each dataset are kept by statements that stand in a table.

Views that older software made go on being kept by its triggers, until ``tapdb obscore fill`` has filled new
tables: what they call stays.

Locks taken: none on any table of Butler's, and ``tapdb.dataset_type_mapping`` and ``tapdb.view_definition``
for a moment.

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
    ("functions/tapdb.note_change", 1),
    ("functions/tapdb.mend", 1),
    ("functions/tapdb.keep", 1),
)
BEFORE, REPLACED = ("functions/tapdb.footprint", 1), ("functions/tapdb.footprint", 2)
"""Source whose new version takes the place of the old one under those who call it."""

ALTERED = (("tables/tapdb.view_definition", 2), ("tables/tapdb.dataset_type_mapping", 2))
"""Sources whose newest version ALTER TABLE comes to."""

UP = """
ALTER TABLE tapdb.dataset_type_mapping DROP CONSTRAINT dataset_type_mapping_view_fkey;
ALTER TABLE tapdb.dataset_type_mapping DROP CONSTRAINT dataset_type_mapping_pkey;
ALTER TABLE tapdb.view_definition DROP CONSTRAINT view_definition_pkey;
ALTER TABLE tapdb.view_definition ADD COLUMN kept text NOT NULL DEFAULT '';
ALTER TABLE tapdb.view_definition ADD COLUMN stage text NOT NULL DEFAULT 'published';
ALTER TABLE tapdb.view_definition ADD COLUMN progress jsonb;
ALTER TABLE tapdb.view_definition
  ADD CONSTRAINT view_definition_pkey PRIMARY KEY (view_schema, view_name, kept);
ALTER TABLE tapdb.view_definition ADD CONSTRAINT view_definition_stage_check
  CHECK (stage IN ('wanted', 'filling', 'published', 'leaving'));
CREATE UNIQUE INDEX view_definition_published ON tapdb.view_definition (view_schema, view_name)
  WHERE stage = 'published';
COMMENT ON TABLE tapdb.view_definition IS
  'What each view was made from: one row for each view and set of its kept tables.';
COMMENT ON COLUMN tapdb.view_definition.kept IS
  'What begins the names of its kept tables; empty if it has none, or none of this kind.';
COMMENT ON COLUMN tapdb.view_definition.stage IS
  'wanted, filling, published or leaving: readers see what is published.';
COMMENT ON COLUMN tapdb.view_definition.progress IS 'How far it is filled; NULL if nothing is being filled.';
ALTER TABLE tapdb.dataset_type_mapping ADD COLUMN number smallint;
ALTER TABLE tapdb.dataset_type_mapping ADD COLUMN kept text NOT NULL DEFAULT '';
ALTER TABLE tapdb.dataset_type_mapping
  ADD CONSTRAINT dataset_type_mapping_pkey PRIMARY KEY (view_schema, view_name, kept, dataset_type);
ALTER TABLE tapdb.dataset_type_mapping ADD CONSTRAINT dataset_type_mapping_number_key UNIQUE (kept, number);
ALTER TABLE tapdb.dataset_type_mapping
  ADD CONSTRAINT dataset_type_mapping_view_fkey FOREIGN KEY (view_schema, view_name, kept)
  REFERENCES tapdb.view_definition (view_schema, view_name, kept) ON UPDATE CASCADE ON DELETE CASCADE;
COMMENT ON COLUMN tapdb.dataset_type_mapping.number IS
  'Number of the dataset type in the kept rows of the view.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.kept IS
  'What begins the names of the kept tables with these numbers.';
"""
DOWN = """
DELETE FROM tapdb.view_definition WHERE stage <> 'published';
ALTER TABLE tapdb.dataset_type_mapping DROP CONSTRAINT dataset_type_mapping_view_fkey;
ALTER TABLE tapdb.dataset_type_mapping DROP COLUMN number;
ALTER TABLE tapdb.dataset_type_mapping DROP COLUMN kept;
ALTER TABLE tapdb.dataset_type_mapping
  ADD CONSTRAINT dataset_type_mapping_pkey PRIMARY KEY (view_schema, view_name, dataset_type);
ALTER TABLE tapdb.view_definition DROP COLUMN kept, DROP COLUMN stage, DROP COLUMN progress;
ALTER TABLE tapdb.view_definition ADD CONSTRAINT view_definition_pkey PRIMARY KEY (view_schema, view_name);
ALTER TABLE tapdb.dataset_type_mapping
  ADD CONSTRAINT dataset_type_mapping_view_fkey FOREIGN KEY (view_schema, view_name)
  REFERENCES tapdb.view_definition (view_schema, view_name) ON UPDATE CASCADE ON DELETE CASCADE;
COMMENT ON TABLE tapdb.view_definition IS 'What each published view was made from: one row a view.';
"""


def upgrade() -> None:
    """Make the tables and functions."""
    op.execute(UP)
    op.set_object_versions(new=(*NEW, REPLACED), old=())


def downgrade() -> None:
    """Take them away."""
    op.set_object_versions(new=(BEFORE,), old=(*NEW, REPLACED))
    op.execute(DOWN)
