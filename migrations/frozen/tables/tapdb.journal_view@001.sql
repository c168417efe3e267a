-- sha256 0348e03caeeaeda09e275feb65230e4157a6b16aaf53f11ca80e261ef0e5d261
-- Views of which a journal is kept, by the kept tables that it is of: tapdb journal keep. Empty where nobody asked for it.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.journal_view;
-- create
CREATE TABLE tapdb.journal_view (
  number bigint GENERATED ALWAYS AS IDENTITY,
  kept text NOT NULL,
  view_schema text NOT NULL,
  view_name text NOT NULL,
  shown_schema text NOT NULL,
  shown_name text NOT NULL,
  regions text NOT NULL,
  night_hours double precision NOT NULL DEFAULT 12,
  wakes boolean NOT NULL DEFAULT true,
  begun xid8 NOT NULL DEFAULT pg_current_xact_id(),
  pruned xid8 NOT NULL DEFAULT '0',
  CONSTRAINT journal_view_pkey PRIMARY KEY (number),
  CONSTRAINT journal_view_kept_key UNIQUE (kept),
  CONSTRAINT journal_view_name_key UNIQUE (view_schema, view_name)
);
ALTER TABLE tapdb.journal_view OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.journal_view IS 'Views of which a journal is kept.';
COMMENT ON COLUMN tapdb.journal_view.number IS 'Number of the journal; a journal that is begun again has another.';
COMMENT ON COLUMN tapdb.journal_view.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.journal_view.view_schema IS 'Schema of the view with all rows.';
COMMENT ON COLUMN tapdb.journal_view.view_name IS 'Name of the view with all rows.';
COMMENT ON COLUMN tapdb.journal_view.shown_schema IS 'Schema of the view that readers see: of what is released, if there is one.';
COMMENT ON COLUMN tapdb.journal_view.shown_name IS 'Name of the view that readers see.';
COMMENT ON COLUMN tapdb.journal_view.regions IS 'Kept table of the regions of the registry.';
COMMENT ON COLUMN tapdb.journal_view.night_hours IS 'Hour UTC at which an observing day begins.';
COMMENT ON COLUMN tapdb.journal_view.wakes IS 'Whether each commit sends a NOTIFY.';
COMMENT ON COLUMN tapdb.journal_view.begun IS 'Transaction that has begun the journal.';
COMMENT ON COLUMN tapdb.journal_view.pruned IS 'Newest transaction of which entries have been deleted.';
REVOKE ALL ON TABLE tapdb.journal_view FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.journal_view TO tapdb_service;
