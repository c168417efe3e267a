-- sha256 f3e47752fe47d56ba46079ff28bb175f29d17cf52f410cf556b369e4ca42d808
-- What each snapshot wrote in each table: how many versions began and ended with it, and the digests of these rows.
-- The digest of many rows that began is pending at the commit, and made soon after it (ppdb_history.seal).
-- requires: tables/ppdb_history.snapshot, tables/ppdb_history.versioned_table
-- drop
DROP TABLE IF EXISTS ppdb_history.snapshot_table;
-- create
CREATE TABLE ppdb_history.snapshot_table (
  snapshot_id bigint NOT NULL,
  table_name text NOT NULL,
  begun bigint NOT NULL,
  begun_digest bit(256),
  ended bigint NOT NULL,
  ended_digest bit(256) NOT NULL,
  begun_by xid[],
  found bigint,
  is_witnessed boolean,
  CONSTRAINT snapshot_table_pkey PRIMARY KEY (snapshot_id, table_name)
);
CREATE INDEX snapshot_table_pending_idx ON ppdb_history.snapshot_table (snapshot_id) WHERE begun_digest IS NULL;
ALTER TABLE ppdb_history.snapshot_table OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.snapshot_table IS 'What each snapshot wrote in each versioned table, with digests by which tampering is found.';
COMMENT ON COLUMN ppdb_history.snapshot_table.snapshot_id IS 'Snapshot.';
COMMENT ON COLUMN ppdb_history.snapshot_table.table_name IS 'Versioned table.';
COMMENT ON COLUMN ppdb_history.snapshot_table.begun IS 'Number of versions that are visible from this snapshot on.';
COMMENT ON COLUMN ppdb_history.snapshot_table.begun_digest IS 'Exclusive or of the SHA-256 of each of them, in the columns of that time; NULL while it is pending.';
COMMENT ON COLUMN ppdb_history.snapshot_table.ended IS 'Number of versions that were visible up to the snapshot before.';
COMMENT ON COLUMN ppdb_history.snapshot_table.ended_digest IS 'Exclusive or of the SHA-256 of the key of each of them and the snapshot in which it began.';
COMMENT ON COLUMN ppdb_history.snapshot_table.begun_by IS 'Transactions (xmin of rows) that wrote the versions whose digest is pending; else NULL.';
COMMENT ON COLUMN ppdb_history.snapshot_table.found IS 'Versions that were as their writer left them when the digest was made; NULL if the writer made it.';
COMMENT ON COLUMN ppdb_history.snapshot_table.is_witnessed IS 'Whether xmin told so; false after a restore: they were counted. NULL if the writer made the digest.';
REVOKE ALL ON TABLE ppdb_history.snapshot_table FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.snapshot_table TO tapdb_reader;
