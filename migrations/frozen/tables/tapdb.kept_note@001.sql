-- sha256 9349fdb503e99bd90670c4f3b89a9548ba78c95eb80ef1c2be25e25dfec57e2d
-- Changes of Butler's after which kept tables may not be right: what failed, and what other transactions could not see. See tapdb.mend.
-- Rows are only ever added by the change itself: two writers never wait for each other here.
-- requires: schemas/tapdb
-- drop
DROP TABLE IF EXISTS tapdb.kept_note;
-- create
CREATE TABLE tapdb.kept_note (
  note bigint GENERATED ALWAYS AS IDENTITY,
  registry_schema text NOT NULL,
  relation text NOT NULL,
  event text NOT NULL,
  kept text,
  changed jsonb,
  gone jsonb,
  problem text,
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  horizon xid8,
  noted_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  tried_at timestamp with time zone,
  CONSTRAINT kept_note_pkey PRIMARY KEY (note)
);
ALTER TABLE tapdb.kept_note OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.kept_note IS 'Changes after which kept tables have to be looked at once more.';
COMMENT ON COLUMN tapdb.kept_note.note IS 'Number of the note.';
COMMENT ON COLUMN tapdb.kept_note.registry_schema IS 'Schema of the Butler registry.';
COMMENT ON COLUMN tapdb.kept_note.relation IS 'Table of Butler''s that was changed.';
COMMENT ON COLUMN tapdb.kept_note.event IS 'INSERT, UPDATE, DELETE or TRUNCATE.';
COMMENT ON COLUMN tapdb.kept_note.kept IS 'What begins the names of the kept tables that are behind; NULL for all.';
COMMENT ON COLUMN tapdb.kept_note.changed IS 'New rows.';
COMMENT ON COLUMN tapdb.kept_note.gone IS 'Old rows.';
COMMENT ON COLUMN tapdb.kept_note.problem IS 'What PostgreSQL said; NULL if nothing failed, and others may have added rows beside the change.';
COMMENT ON COLUMN tapdb.kept_note.transaction IS 'Transaction of the change.';
COMMENT ON COLUMN tapdb.kept_note.horizon IS 'First transaction that began after the change was seen to be committed.';
COMMENT ON COLUMN tapdb.kept_note.noted_at IS 'When the change was made.';
COMMENT ON COLUMN tapdb.kept_note.tried_at IS 'When mending it failed last.';
REVOKE ALL ON TABLE tapdb.kept_note FROM PUBLIC;
