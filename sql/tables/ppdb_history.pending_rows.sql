-- Keys of the rows that snapshots wrote whose digests are not made yet: by them ppdb_history.seal finds the rows, which have no index over snap_from. A note lasts
-- for seconds. A row of which the transaction that PostgreSQL notes in it (xmin) is that of no note was written again since, behind the triggers.
-- Not compressed: that would take longer than to write it.
-- requires: tables/ppdb_history.snapshot_table
-- drop
DROP TABLE IF EXISTS ppdb_history.pending_rows;
-- create
CREATE TABLE ppdb_history.pending_rows (
  note_id bigint GENERATED ALWAYS AS IDENTITY,
  snapshot_id bigint NOT NULL,
  table_name text NOT NULL,
  keys text[] NOT NULL,
  CONSTRAINT pending_rows_pkey PRIMARY KEY (snapshot_id, table_name, note_id)
);
ALTER TABLE ppdb_history.pending_rows ALTER COLUMN keys SET STORAGE EXTERNAL;
ALTER TABLE ppdb_history.pending_rows OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.pending_rows IS 'Keys of the rows whose digests are not made yet.';
COMMENT ON COLUMN ppdb_history.pending_rows.note_id IS 'Number of the note.';
COMMENT ON COLUMN ppdb_history.pending_rows.snapshot_id IS 'Snapshot that wrote the rows.';
COMMENT ON COLUMN ppdb_history.pending_rows.table_name IS 'Versioned table.';
COMMENT ON COLUMN ppdb_history.pending_rows.keys IS 'For each column of the key, an array of its values as text.';
REVOKE ALL ON TABLE ppdb_history.pending_rows FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.pending_rows TO tapdb_reader;
