-- sha256 0510ae4bf2d77f0f78d9a70a1ed3e2f2c4f63573e0d9ebc67a0a52c9ee2ed844
-- Trigger function on the current rows of a table that logical replication feeds (tapdb ppdb follow). What applies changes there fires no statement trigger.
-- BEFORE, FOR EACH ROW: locks the clock with the first change of a transaction, as ppdb_history.enter does with the first statement, and gives a new row its snapshot.
-- AFTER, FOR EACH ROW: notes both images of the row for ppdb_history.fold, as text, which keeps every bit of a number.
-- BEFORE, FOR EACH STATEMENT: refuses what others than the subscription write.
-- Rows that a statement writes have been seen by the statement triggers (the clock is locked already), and are left alone.
-- requires: functions/ppdb_history.lock_clock, functions/ppdb_history.seal, functions/ppdb_history.writing, functions/tapdb.mjd_tai
-- drop
DROP FUNCTION IF EXISTS ppdb_history.apply();
-- create
CREATE FUNCTION ppdb_history.apply() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET extra_float_digits = 1
AS $$
DECLARE
  mine CONSTANT text := pg_current_xact_id()::text;
  stage CONSTANT text := coalesce(current_setting('ppdb_history.applying', true), '');
  is_applied CONSTANT boolean := stage IN (mine || ' begins', mine || ' ends');
  is_first CONSTANT boolean := current_setting('ppdb_history.applied', true) IS DISTINCT FROM mine;
  own bigint;
BEGIN
  IF TG_LEVEL = 'STATEMENT' THEN
    RAISE EXCEPTION '% on %.% is refused: logical replication alone writes this table', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
      USING ERRCODE = 'feature_not_supported',
        HINT = format('Write at its primary; tapdb ppdb follow rebuild %s takes all rows from there again, tapdb ppdb follow remove %1$s ends the following.', TG_TABLE_SCHEMA);
  END IF;
  IF NOT is_applied AND (TG_WHEN = 'AFTER' OR ppdb_history.writing() IS NOT NULL) THEN
    IF TG_OP = 'DELETE' THEN
      RETURN OLD;
    END IF;
    RETURN NEW;
  END IF;
  IF TG_WHEN = 'BEFORE' THEN
    IF NOT is_applied OR TG_OP <> 'INSERT' AND stage <> mine || ' ends' THEN
      own := ppdb_history.lock_clock();
      -- What ends has to be what was written: digests that are pending are made before.
      IF EXISTS (
        SELECT FROM ppdb_history.snapshot_table t JOIN ppdb_history.snapshot s USING (snapshot_id)
        WHERE t.begun_digest IS NULL AND t.snapshot_id < own AND (TG_OP <> 'INSERT' OR s.t_mjd_tai < tapdb.mjd_tai(clock_timestamp()) - 60 / 86400.0))
      THEN
        PERFORM ppdb_history.seal();
      END IF;
      PERFORM set_config('ppdb_history.applying', mine || CASE TG_OP WHEN 'INSERT' THEN ' begins' ELSE ' ends' END, true);
    END IF;
    IF TG_OP = 'DELETE' THEN
      RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
      NEW.snap_from := ppdb_history.writing();
      NEW.snap_to := 9223372036854775807;
    END IF;
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF record_image_eq(OLD, NEW) THEN
      RETURN NULL;
    END IF;
  END IF;
  PERFORM set_config('ppdb_history.applied', mine, true);
  INSERT INTO ppdb_history.applied_row (is_first, table_name, come, gone)
  VALUES (is_first, TG_TABLE_NAME, CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN NEW::text END, CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN OLD::text END);
  RETURN NULL;
END
$$;
ALTER FUNCTION ppdb_history.apply() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.apply() IS 'Trigger function that notes changes of versioned rows which logical replication applies.';
REVOKE ALL ON FUNCTION ppdb_history.apply() FROM PUBLIC;
