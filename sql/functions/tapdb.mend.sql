-- Runs the statements of noted changes again, and deletes the notes that are settled; returns how many are left of those that it looked at.
-- Under READ COMMITTED a change and an ingest beside it do not see each other: a region that comes while raws are put finds no raws, and they
-- no region. So a change is noted in its own transaction, its statements are run again when that is seen to be committed, and once more when
-- all transactions are over that ran then: what these have added is seen then by everybody. Only rows that differ are written.
-- A note that another session is at is passed over. A note that failed is tried again after a minute.
-- What is looked up has just been written, and is in memory: records are found by their indexes, not by reading small tables for each row.
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.keeping, tables/tapdb.kept_note
-- drop
DROP FUNCTION IF EXISTS tapdb.mend(text, integer);
-- create
CREATE FUNCTION tapdb.mend(registry text, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET random_page_cost = 1.1
AS $$
DECLARE
  it record;
  task text;
  given text;
  now_running pg_snapshot := pg_current_snapshot();
  unsettled integer := 0;
BEGIN
  FOR it IN
    SELECT n.* FROM tapdb.kept_note n
    WHERE n.registry_schema = registry AND n.transaction <> pg_current_xact_id()
      AND (n.tried_at IS NULL OR n.tried_at < clock_timestamp() - interval '1 minute')
      AND (n.horizon IS NULL OR NOT EXISTS (SELECT FROM pg_snapshot_xip(now_running) x WHERE x < n.horizon))
    ORDER BY n.note LIMIT most FOR UPDATE SKIP LOCKED
  LOOP
    given := format('WITH changed AS (SELECT * FROM jsonb_populate_recordset(NULL::%1$I.%2$I, $1)), '
      'gone AS (SELECT * FROM jsonb_populate_recordset(NULL::%1$I.%2$I, $2)) ', it.registry_schema, it.relation);
    BEGIN
      FOR task IN
        SELECT k.statement FROM tapdb.keeping k
        WHERE k.registry_schema = it.registry_schema AND k.relation = it.relation AND k.event = it.event
          AND k.kept = coalesce(it.kept, k.kept)
        ORDER BY k.place
      LOOP
        EXECUTE given || task USING it.changed, it.gone;
      END LOOP;
    EXCEPTION
      WHEN lock_not_available THEN
        -- The session that has the row leaves a note of its own.
        unsettled := unsettled + 1;
        CONTINUE;
      WHEN data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation
        OR object_not_in_prerequisite_state OR feature_not_supported OR program_limit_exceeded OR internal_error THEN
      UPDATE tapdb.kept_note n SET problem = SQLERRM, tried_at = clock_timestamp() WHERE n.note = it.note;
      unsettled := unsettled + 1;
      CONTINUE;
    END;
    IF it.horizon IS NOT NULL OR NOT EXISTS (SELECT FROM pg_snapshot_xip(now_running)) THEN
      DELETE FROM tapdb.kept_note n WHERE n.note = it.note;
    ELSE
      UPDATE tapdb.kept_note n SET horizon = pg_snapshot_xmax(now_running), problem = NULL, tried_at = NULL WHERE n.note = it.note;
      unsettled := unsettled + 1;
    END IF;
  END LOOP;
  RETURN unsettled;
END
$$;
ALTER FUNCTION tapdb.mend(text, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.mend(text, integer) IS 'Brings kept tables up to date after noted changes; returns how many notes it leaves.';
REVOKE ALL ON FUNCTION tapdb.mend(text, integer) FROM PUBLIC;
