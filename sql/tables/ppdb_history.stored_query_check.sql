-- What came of running stored queries again. Rows are added and never changed.
-- requires: tables/ppdb_history.stored_query
-- drop
DROP TABLE IF EXISTS ppdb_history.stored_query_check;
-- create
CREATE TABLE ppdb_history.stored_query_check (
  check_id bigint GENERATED ALWAYS AS IDENTITY,
  pid text NOT NULL,
  checked_mjd_tai double precision NOT NULL DEFAULT tapdb.mjd_tai(clock_timestamp()),
  software text NOT NULL,
  outcome text NOT NULL,
  problem text NOT NULL,
  CONSTRAINT stored_query_check_pkey PRIMARY KEY (check_id),
  CONSTRAINT stored_query_check_pid_fkey FOREIGN KEY (pid) REFERENCES ppdb_history.stored_query (pid),
  CONSTRAINT stored_query_check_outcome_check CHECK (outcome IN ('identical', 'different', 'failed', 'skipped'))
);
CREATE INDEX stored_query_check_pid_idx ON ppdb_history.stored_query_check (pid, check_id);
CREATE TRIGGER stored_query_check_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ppdb_history.stored_query_check
FOR EACH STATEMENT EXECUTE FUNCTION ppdb_history.refuse_change();
CREATE TRIGGER stored_query_check_refuse_row BEFORE UPDATE OR DELETE ON ppdb_history.stored_query_check
FOR EACH ROW EXECUTE FUNCTION ppdb_history.refuse_change();
-- A subscription of logical replication fires row triggers only, and both it and a session that replicates (session_replication_role) only what is ENABLE ALWAYS.
ALTER TABLE ppdb_history.stored_query_check ENABLE ALWAYS TRIGGER stored_query_check_refuse_change, ENABLE ALWAYS TRIGGER stored_query_check_refuse_row;
ALTER TABLE ppdb_history.stored_query_check OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.stored_query_check IS 'Stored queries that were run again, and what came of it.';
COMMENT ON COLUMN ppdb_history.stored_query_check.check_id IS 'Number.';
COMMENT ON COLUMN ppdb_history.stored_query_check.pid IS 'The stored query.';
COMMENT ON COLUMN ppdb_history.stored_query_check.checked_mjd_tai IS 'When, MJD, TAI.';
COMMENT ON COLUMN ppdb_history.stored_query_check.software IS 'Software that ran it.';
COMMENT ON COLUMN ppdb_history.stored_query_check.outcome IS 'identical, different, failed, or skipped if it needs an upload.';
COMMENT ON COLUMN ppdb_history.stored_query_check.problem IS 'What was wrong; empty if nothing.';
REVOKE ALL ON TABLE ppdb_history.stored_query_check FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.stored_query_check TO tapdb_reader;
