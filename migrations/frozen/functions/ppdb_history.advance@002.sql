-- sha256 999496dc571957422d12210c228649f9e6b38852e77075672f8ab485d8b0f69a
-- Begins a snapshot, if the transaction has begun none yet, and returns its number. The wall clock is read after the lock was got.
-- The time is the wall clock's, or the next number after that of the snapshot before if the wall clock was set back: then what it said is noted beside it, since
-- from the snapshot before the last one with a true time up to this one nobody can tell when which snapshot was the newest (ppdb_history.snapshot_at).
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
  wall double precision := tapdb.mjd_tai(clock_timestamp());
  before double precision;
  own_time double precision;
BEGIN
  SELECT t_mjd_tai INTO before FROM ppdb_history.clock WHERE snapshot_id < own;
  IF FOUND THEN
    UPDATE ppdb_history.clock
    SET snapshot_id = own, writer = pg_current_xact_id(), t_mjd_tai = greatest(wall, before * (1 + 2.0 ^ -52))
    RETURNING t_mjd_tai INTO own_time;
    INSERT INTO ppdb_history.snapshot (snapshot_id, t_mjd_tai, parent_digest, wall_mjd_tai)
    VALUES (own, own_time, ppdb_history.snapshot_digest(own - 1), CASE WHEN wall < before THEN wall END);
    PERFORM set_config('ppdb_history.written', own::text, true);
    IF wall < before THEN
      RAISE WARNING 'snapshot % gets MJD % (TAI), the time of the snapshot before it: the wall clock is % s behind that', own, own_time, round(((before - wall) * 86400)::numeric, 3)
        USING HINT = 'Set the wall clock right. tapdb ppdb check lists the times as of which no snapshot can be named.';
    END IF;
  END IF;
  RETURN own;
END
$$;
ALTER FUNCTION ppdb_history.advance() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.advance() IS 'Begins the snapshot that the transaction writes, if it has begun none; its number.';
REVOKE ALL ON FUNCTION ppdb_history.advance() FROM PUBLIC;
