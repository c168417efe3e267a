-- Trigger function, BEFORE INSERT OR UPDATE OR DELETE, FOR EACH STATEMENT, on the current rows: locks the clock before any row is touched.
-- A statement that changes no row makes no snapshot.
-- requires: functions/ppdb_history.lock_clock
-- drop
DROP FUNCTION IF EXISTS ppdb_history.enter();
-- create
CREATE FUNCTION ppdb_history.enter() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM ppdb_history.lock_clock();
  RETURN NULL;
END
$$;
ALTER FUNCTION ppdb_history.enter() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.enter() IS 'Trigger function that locks the clock before versioned rows are written.';
REVOKE ALL ON FUNCTION ppdb_history.enter() FROM PUBLIC;
