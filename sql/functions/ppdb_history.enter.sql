-- Trigger function, BEFORE INSERT OR UPDATE OR DELETE, FOR EACH STATEMENT, on the current rows: locks the clock before any row is touched.
-- A statement that changes no row makes no snapshot.
-- Digests that are pending are made before rows can end, so that what ends is what was written; and before anything is written if one is older than a minute.
-- requires: functions/ppdb_history.lock_clock, functions/ppdb_history.seal
-- drop
DROP FUNCTION IF EXISTS ppdb_history.enter();
-- create
CREATE FUNCTION ppdb_history.enter() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  own CONSTANT bigint := ppdb_history.lock_clock();
  oldest CONSTANT bigint := (SELECT min(t.snapshot_id) FROM ppdb_history.snapshot_table t WHERE t.begun_digest IS NULL);
BEGIN
  IF oldest < own AND (TG_OP <> 'INSERT' OR EXISTS (
    SELECT FROM ppdb_history.snapshot s WHERE s.snapshot_id = oldest AND s.t_mjd_tai < tapdb.mjd_tai(clock_timestamp()) - 60 / 86400.0))
  THEN
    PERFORM ppdb_history.seal();
  END IF;
  RETURN NULL;
END
$$;
ALTER FUNCTION ppdb_history.enter() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.enter() IS 'Trigger function that locks the clock before versioned rows are written.';
REVOKE ALL ON FUNCTION ppdb_history.enter() FROM PUBLIC;
