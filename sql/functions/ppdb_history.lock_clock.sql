-- Locks the clock until the transaction ends, and returns the snapshot that it writes: a new one, or the one that it has begun already.
-- Two things together tell that it has: the row says which transaction wrote it, and a setting that ends with the transaction says it too. The row alone would
-- do so in another cluster as well, where a dump was restored and the numbers of transactions begin again.
-- requires: tables/ppdb_history.clock
-- drop
DROP FUNCTION IF EXISTS ppdb_history.lock_clock();
-- create
CREATE FUNCTION ppdb_history.lock_clock() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  now_at ppdb_history.clock;
  own bigint;
BEGIN
  SELECT * INTO STRICT now_at FROM ppdb_history.clock FOR UPDATE;
  own := now_at.snapshot_id;
  IF now_at.writer IS DISTINCT FROM pg_current_xact_id() OR current_setting('ppdb_history.written', true) IS DISTINCT FROM own::text THEN
    own := own + 1;
  END IF;
  PERFORM set_config('ppdb_history.writing', own::text, true);
  RETURN own;
END
$$;
ALTER FUNCTION ppdb_history.lock_clock() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.lock_clock() IS 'Locks the clock until the transaction ends; the snapshot that the transaction writes.';
REVOKE ALL ON FUNCTION ppdb_history.lock_clock() FROM PUBLIC;
