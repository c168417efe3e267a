-- Queries that were published: what they returned, and what it takes to get it again. Rows are added and never changed.
-- Readers may read them, since a citation is public; nobody but the owner may add any, unless a DBA grants INSERT, for example to the login of a service.
-- requires: schemas/ppdb_history, roles/tapdb_owner, roles/tapdb_reader, functions/ppdb_history.refuse_change, functions/tapdb.mjd_tai
-- drop
DROP TABLE IF EXISTS ppdb_history.stored_query;
-- create
CREATE TABLE ppdb_history.stored_query (
  pid text NOT NULL,
  natural_adql text NOT NULL,
  normalised_adql text NOT NULL,
  query_sha256 text NOT NULL,
  repeatable_adql text NOT NULL,
  snapshot_id bigint NOT NULL,
  t_mjd_tai double precision NOT NULL,
  schema_version text NOT NULL,
  result_digest text NOT NULL,
  column_digest text NOT NULL,
  row_count bigint NOT NULL,
  max_rows bigint,
  uploads jsonb NOT NULL,
  guarantee text NOT NULL,
  superset text NOT NULL,
  citation text NOT NULL,
  landing jsonb NOT NULL,
  record text NOT NULL,
  record_sha256 text NOT NULL,
  stored_mjd_tai double precision NOT NULL DEFAULT tapdb.mjd_tai(clock_timestamp()),
  stored_by text NOT NULL DEFAULT session_user,
  CONSTRAINT stored_query_pkey PRIMARY KEY (pid),
  CONSTRAINT stored_query_query_sha256_check CHECK (query_sha256 = encode(sha256(convert_to(normalised_adql, 'UTF8')), 'hex')),
  CONSTRAINT stored_query_record_sha256_check CHECK (record_sha256 = encode(sha256(convert_to(record, 'UTF8')), 'hex'))
);
CREATE INDEX stored_query_query_sha256_idx ON ppdb_history.stored_query (query_sha256);
CREATE TRIGGER stored_query_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ppdb_history.stored_query
FOR EACH STATEMENT EXECUTE FUNCTION ppdb_history.refuse_change();
CREATE TRIGGER stored_query_refuse_row BEFORE UPDATE OR DELETE ON ppdb_history.stored_query
FOR EACH ROW EXECUTE FUNCTION ppdb_history.refuse_change();
-- A subscription of logical replication fires row triggers only, and both it and a session that replicates (session_replication_role) only what is ENABLE ALWAYS.
ALTER TABLE ppdb_history.stored_query ENABLE ALWAYS TRIGGER stored_query_refuse_change, ENABLE ALWAYS TRIGGER stored_query_refuse_row;
ALTER TABLE ppdb_history.stored_query OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.stored_query IS 'Queries that have a persistent identifier: what they returned, and what it takes to get it again.';
COMMENT ON COLUMN ppdb_history.stored_query.pid IS 'Persistent identifier: the same for the same query with the same result.';
COMMENT ON COLUMN ppdb_history.stored_query.natural_adql IS 'The query as it was sent.';
COMMENT ON COLUMN ppdb_history.stored_query.normalised_adql IS 'The query in a form that is the same however it was written.';
COMMENT ON COLUMN ppdb_history.stored_query.query_sha256 IS 'SHA-256 of normalised_adql in UTF-8, hexadecimal.';
COMMENT ON COLUMN ppdb_history.stored_query.repeatable_adql IS 'The query as of the snapshot: plain ADQL.';
COMMENT ON COLUMN ppdb_history.stored_query.snapshot_id IS 'Snapshot that was queried.';
COMMENT ON COLUMN ppdb_history.stored_query.t_mjd_tai IS 'When that snapshot was made, the last change of the data before the query: MJD, TAI.';
COMMENT ON COLUMN ppdb_history.stored_query.schema_version IS 'Which columns the tables had.';
COMMENT ON COLUMN ppdb_history.stored_query.result_digest IS 'Digest of columns and rows, in order.';
COMMENT ON COLUMN ppdb_history.stored_query.column_digest IS 'Digest of the names and types of the columns.';
COMMENT ON COLUMN ppdb_history.stored_query.row_count IS 'Number of rows.';
COMMENT ON COLUMN ppdb_history.stored_query.max_rows IS 'MAXREC of the request; NULL if it had none.';
COMMENT ON COLUMN ppdb_history.stored_query.uploads IS 'Digests of the uploaded tables that the query names, by name.';
COMMENT ON COLUMN ppdb_history.stored_query.guarantee IS 'What is promised of a repetition: exact, exact-except-float-sums or partial.';
COMMENT ON COLUMN ppdb_history.stored_query.superset IS 'Persistent identifier of the data collection.';
COMMENT ON COLUMN ppdb_history.stored_query.citation IS 'Text for a list of references.';
COMMENT ON COLUMN ppdb_history.stored_query.landing IS 'What a landing page shows.';
COMMENT ON COLUMN ppdb_history.stored_query.record IS 'The replay record, JSON.';
COMMENT ON COLUMN ppdb_history.stored_query.record_sha256 IS 'SHA-256 of record in UTF-8, hexadecimal.';
COMMENT ON COLUMN ppdb_history.stored_query.stored_mjd_tai IS 'When the row was added, MJD, TAI.';
COMMENT ON COLUMN ppdb_history.stored_query.stored_by IS 'Role that added it.';
REVOKE ALL ON TABLE ppdb_history.stored_query FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.stored_query TO tapdb_reader;
