-- Default of snap_from: the snapshot that the running transaction writes. NULL, which the column refuses, where the trigger that says so has not run.
-- Inlined, as it is called for each row of a COPY.
-- requires: schemas/ppdb_history, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS ppdb_history.writing();
-- create
CREATE FUNCTION ppdb_history.writing() RETURNS bigint
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
SELECT nullif(current_setting('ppdb_history.writing', true), '')::bigint
$$;
ALTER FUNCTION ppdb_history.writing() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.writing() IS 'Snapshot that the running transaction writes; NULL if it writes none.';
GRANT EXECUTE ON FUNCTION ppdb_history.writing() TO PUBLIC;
