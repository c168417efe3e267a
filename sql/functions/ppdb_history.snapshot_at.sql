-- The snapshot that was the newest one at a time. A time later than the newest snapshot is looked up under the clock's lock: a writer at that moment
-- could be about to commit an earlier one. The lock needs a transaction that may write, and rows as they are after the wait: READ COMMITTED.
-- Where the wall clock went wrong the answer is not known: after the snapshot before the last one that was written ahead of time, up to the last one that was
-- written while the wall clock was behind it (wall_mjd_tai is not NULL). The time of a snapshot itself names that snapshot there, too.
-- requires: tables/ppdb_history.snapshot, roles/tapdb_reader
-- drop
DROP FUNCTION IF EXISTS ppdb_history.snapshot_at(double precision);
-- create
CREATE FUNCTION ppdb_history.snapshot_at(at_mjd_tai double precision, OUT snapshot_id bigint, OUT t_mjd_tai double precision)
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  newest double precision;
  last_doubtful bigint;
BEGIN
  SELECT c.t_mjd_tai INTO STRICT newest FROM ppdb_history.clock c;
  IF NOT at_mjd_tai <= newest THEN
    IF pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean OR current_setting('transaction_isolation') <> 'read committed' THEN
      RAISE EXCEPTION 'MJD % (TAI) is later than the newest snapshot here, of MJD %: whether another one comes before it cannot be told in this transaction', at_mjd_tai, newest
        USING ERRCODE = 'object_not_in_prerequisite_state',
          HINT = 'Ask in a transaction that may write and is READ COMMITTED, on the primary server; or for an earlier time.';
    END IF;
    PERFORM FROM ppdb_history.clock FOR SHARE;
    IF NOT at_mjd_tai <= tapdb.mjd_tai(clock_timestamp()) THEN
      RAISE EXCEPTION 'MJD % (TAI) is in the future: it is MJD % now', at_mjd_tai, tapdb.mjd_tai(clock_timestamp())
        USING ERRCODE = 'datetime_field_overflow', HINT = 'What the PPDB will be then is not known yet.';
    END IF;
  END IF;
  SELECT s.snapshot_id, s.t_mjd_tai INTO snapshot_id, t_mjd_tai FROM ppdb_history.snapshot s WHERE s.t_mjd_tai <= at_mjd_tai ORDER BY s.t_mjd_tai DESC LIMIT 1;
  SELECT max(s.snapshot_id) INTO last_doubtful FROM ppdb_history.snapshot s
  WHERE snapshot_at.t_mjd_tai < at_mjd_tai AND s.snapshot_id BETWEEN snapshot_at.snapshot_id + 1 AND snapshot_at.snapshot_id + 2
    AND (s.wall_mjd_tai IS NOT NULL
      OR s.snapshot_id = snapshot_at.snapshot_id + 1 AND NOT pg_is_in_recovery() AND s.t_mjd_tai > tapdb.mjd_tai(clock_timestamp()));
  IF last_doubtful IS NOT NULL THEN
    RAISE EXCEPTION 'MJD % (TAI) is ambiguous: the wall clock was wrong then, and whether snapshot % or a later one was the newest cannot be told', at_mjd_tai, snapshot_id
      USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = format('Ask for the very time of a snapshot: tapdb ppdb check lists them. Snapshot %s has MJD %s.', snapshot_id, t_mjd_tai);
  END IF;
END
$$;
ALTER FUNCTION ppdb_history.snapshot_at(double precision) OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.snapshot_at(double precision) IS 'Newest snapshot at a time, MJD, TAI; NULL before the first one. Refuses the future.';
REVOKE ALL ON FUNCTION ppdb_history.snapshot_at(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ppdb_history.snapshot_at(double precision) TO tapdb_reader;
