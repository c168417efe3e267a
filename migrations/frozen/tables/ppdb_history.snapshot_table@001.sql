-- sha256 ae6bfbd3f79cf6358b28ec7a80884a04ecb0d6b8852f1e36f5352424ad1bf8e3
-- What each snapshot wrote in each table: how many versions began and ended with it, and the digests of these rows.
-- requires: tables/ppdb_history.snapshot, tables/ppdb_history.versioned_table
-- drop
DROP TABLE IF EXISTS ppdb_history.snapshot_table;
-- create
CREATE TABLE ppdb_history.snapshot_table (
  snapshot_id bigint NOT NULL,
  table_name text NOT NULL,
  begun bigint NOT NULL,
  begun_digest bit(256) NOT NULL,
  ended bigint NOT NULL,
  ended_digest bit(256) NOT NULL,
  CONSTRAINT snapshot_table_pkey PRIMARY KEY (snapshot_id, table_name)
);
ALTER TABLE ppdb_history.snapshot_table OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.snapshot_table IS 'What each snapshot wrote in each versioned table, with digests by which tampering is found.';
COMMENT ON COLUMN ppdb_history.snapshot_table.snapshot_id IS 'Snapshot.';
COMMENT ON COLUMN ppdb_history.snapshot_table.table_name IS 'Versioned table.';
COMMENT ON COLUMN ppdb_history.snapshot_table.begun IS 'Number of versions that are visible from this snapshot on.';
COMMENT ON COLUMN ppdb_history.snapshot_table.begun_digest IS 'Exclusive or of the SHA-256 of each of them, in the columns that the table had then.';
COMMENT ON COLUMN ppdb_history.snapshot_table.ended IS 'Number of versions that were visible up to the snapshot before.';
COMMENT ON COLUMN ppdb_history.snapshot_table.ended_digest IS 'Exclusive or of the SHA-256 of the key of each of them and the snapshot in which it began.';
REVOKE ALL ON TABLE ppdb_history.snapshot_table FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.snapshot_table TO tapdb_reader;
