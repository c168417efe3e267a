-- sha256 cec80437682257b20bc2c52ecd026893d7ed4c53782194caefc873845e6816bc
-- Trigger function, FOR EACH STATEMENT: brings kept tables up to date, in the transaction of the change, by the statements in tapdb.keeping.
-- Transition tables: changed (new rows) after INSERT and UPDATE, gone (old rows) after UPDATE and DELETE.
-- Nothing here makes Butler's own statement fail or wait: a lock that is not had within 10 ms is an error, and an error that can come from a
-- row, from a right that was taken away or from an object that was changed is noted, and mended by the next write or by refresh. Errors that
-- end the transaction in any case (serialization, resources, cancelling) are Butler's as much as ours.
-- SECURITY DEFINER, since those who ingest have no rights on tapdb's tables.
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.keeping, functions/tapdb.note_change, functions/tapdb.mend
-- drop
DROP FUNCTION IF EXISTS tapdb.keep();
-- create
CREATE FUNCTION tapdb.keep() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10ms'
SET jit = off
AS $$
DECLARE
  job record;
  task text;
  settles boolean := false;
  rows_changed jsonb;
  rows_gone jsonb;
BEGIN
  -- Butler makes sure of rows that are there already, with INSERT ... ON CONFLICT DO NOTHING, at each ingest.
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM changed) THEN RETURN NULL; END IF;
  ELSIF TG_OP IN ('UPDATE', 'DELETE') THEN
    IF NOT EXISTS (SELECT FROM gone) THEN RETURN NULL; END IF;
  END IF;
  BEGIN
    -- The lock stays: the loop does not wait for it.
    PERFORM FROM tapdb.keeping LIMIT 0;
    FOR job IN
      SELECT k.kept, array_agg(k.statement ORDER BY k.place) AS statements, bool_or(k.settles) AS settles
      FROM tapdb.keeping k
      WHERE k.registry_schema = TG_TABLE_SCHEMA AND k.relation = TG_TABLE_NAME AND k.event = TG_OP
      GROUP BY k.kept ORDER BY min(k.place)
    LOOP
      settles := settles OR job.settles;
      BEGIN
        FOREACH task IN ARRAY job.statements LOOP
          EXECUTE task;
        END LOOP;
      EXCEPTION
        WHEN lock_not_available OR data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation
          OR object_not_in_prerequisite_state OR feature_not_supported OR program_limit_exceeded OR internal_error THEN
        RAISE WARNING 'tapdb could not bring % up to date after % on %.%: %', job.kept, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM
          USING HINT = 'The next write tries again; tapdb obscore check says what is missing, tapdb obscore refresh makes it again.';
        IF TG_OP IN ('INSERT', 'UPDATE') THEN
          SELECT jsonb_agg(to_jsonb(c) - 'region') INTO rows_changed FROM changed c;
        END IF;
        IF TG_OP IN ('UPDATE', 'DELETE') THEN
          SELECT jsonb_agg(to_jsonb(g) - 'region') INTO rows_gone FROM gone g;
        END IF;
        PERFORM tapdb.note_change(TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP, job.kept, rows_changed, rows_gone, SQLERRM);
      END;
    END LOOP;
  EXCEPTION WHEN lock_not_available THEN
    -- Somebody changes tapdb.keeping: what is to be done is not known, and done later.
    settles := true;
  END;
  -- With a snapshot of its own a transaction does not see statements that have come since: they are run by the next write.
  IF settles OR current_setting('transaction_isolation') <> 'read committed' THEN
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
      SELECT jsonb_agg(to_jsonb(c) - 'region') INTO rows_changed FROM changed c;
    END IF;
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
      SELECT jsonb_agg(to_jsonb(g) - 'region') INTO rows_gone FROM gone g;
    END IF;
    PERFORM tapdb.note_change(TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP, NULL, rows_changed, rows_gone, NULL);
  END IF;
  -- With a snapshot of its own a transaction cannot see what others have committed since, and would fail where they have changed a row.
  IF current_setting('transaction_isolation') = 'read committed' THEN
    BEGIN
      IF EXISTS (SELECT FROM tapdb.kept_note n WHERE n.registry_schema = TG_TABLE_SCHEMA AND n.transaction <> pg_current_xact_id()) THEN
        PERFORM tapdb.mend(TG_TABLE_SCHEMA, 100);
      END IF;
    EXCEPTION WHEN lock_not_available THEN
      -- The next write mends.
      NULL;
    END;
  END IF;
  RETURN NULL;
END
$$;
ALTER FUNCTION tapdb.keep() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.keep() IS 'Trigger function that keeps tables equal to their sources.';
REVOKE ALL ON FUNCTION tapdb.keep() FROM PUBLIC;
