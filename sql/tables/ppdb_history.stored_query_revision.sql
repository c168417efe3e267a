-- Later records of stored queries: after a change of software or schema the same result is got by another text. Rows are added and never changed.
-- requires: tables/ppdb_history.stored_query
-- drop
DROP TABLE IF EXISTS ppdb_history.stored_query_revision;
-- create
CREATE TABLE ppdb_history.stored_query_revision (
  pid text NOT NULL,
  revision integer NOT NULL,
  record text NOT NULL,
  record_sha256 text NOT NULL,
  software text NOT NULL,
  made_mjd_tai double precision NOT NULL DEFAULT tapdb.mjd_tai(clock_timestamp()),
  CONSTRAINT stored_query_revision_pkey PRIMARY KEY (pid, revision),
  CONSTRAINT stored_query_revision_pid_fkey FOREIGN KEY (pid) REFERENCES ppdb_history.stored_query (pid),
  CONSTRAINT stored_query_revision_record_sha256_check CHECK (record_sha256 = encode(sha256(convert_to(record, 'UTF8')), 'hex'))
);
CREATE TRIGGER stored_query_revision_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ppdb_history.stored_query_revision
FOR EACH STATEMENT EXECUTE FUNCTION ppdb_history.refuse_change();
CREATE TRIGGER stored_query_revision_refuse_row BEFORE UPDATE OR DELETE ON ppdb_history.stored_query_revision
FOR EACH ROW EXECUTE FUNCTION ppdb_history.refuse_change();
-- A subscription of logical replication fires row triggers only, and both it and a session that replicates (session_replication_role) only what is ENABLE ALWAYS.
ALTER TABLE ppdb_history.stored_query_revision ENABLE ALWAYS TRIGGER stored_query_revision_refuse_change, ENABLE ALWAYS TRIGGER stored_query_revision_refuse_row;
ALTER TABLE ppdb_history.stored_query_revision OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.stored_query_revision IS 'Records that took the place of those of stored queries, each after the rows had come again.';
COMMENT ON COLUMN ppdb_history.stored_query_revision.pid IS 'The stored query.';
COMMENT ON COLUMN ppdb_history.stored_query_revision.revision IS 'Number, from 1; the largest one counts.';
COMMENT ON COLUMN ppdb_history.stored_query_revision.record IS 'The replay record, JSON.';
COMMENT ON COLUMN ppdb_history.stored_query_revision.record_sha256 IS 'SHA-256 of record in UTF-8, hexadecimal.';
COMMENT ON COLUMN ppdb_history.stored_query_revision.software IS 'Software that rewrote and verified the query.';
COMMENT ON COLUMN ppdb_history.stored_query_revision.made_mjd_tai IS 'When, MJD, TAI.';
REVOKE ALL ON TABLE ppdb_history.stored_query_revision FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.stored_query_revision TO tapdb_reader;
