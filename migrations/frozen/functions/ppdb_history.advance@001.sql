-- sha256 3a09c9aa330240260491792a95889b13fd619407bf1d4abe5eacdcf56b2bf19f
-- Begins a snapshot, if the transaction has begun none yet, and returns its number. The wall clock is read after the lock was got.
-- The time is the wall clock's, or the next number after that of the snapshot before if the wall clock was set back.
-- requires: functions/ppdb_history.lock_clock, functions/ppdb_history.snapshot_digest
-- drop
DROP FUNCTION IF EXISTS ppdb_history.advance();
-- create
CREATE FUNCTION ppdb_history.advance() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  own bigint := ppdb_history.lock_clock();
  own_time double precision;
BEGIN
  UPDATE ppdb_history.clock
  SET snapshot_id = own, writer = pg_current_xact_id(), t_mjd_tai = greatest(tapdb.mjd_tai(clock_timestamp()), t_mjd_tai * (1 + 2.0 ^ -52))
  WHERE snapshot_id < own
  RETURNING t_mjd_tai INTO own_time;
  IF FOUND THEN
    INSERT INTO ppdb_history.snapshot (snapshot_id, t_mjd_tai, parent_digest)
    VALUES (own, own_time, ppdb_history.snapshot_digest(own - 1));
    PERFORM set_config('ppdb_history.written', own::text, true);
  END IF;
  RETURN own;
END
$$;
ALTER FUNCTION ppdb_history.advance() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.advance() IS 'Begins the snapshot that the transaction writes, if it has begun none; its number.';
REVOKE ALL ON FUNCTION ppdb_history.advance() FROM PUBLIC;
