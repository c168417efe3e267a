-- Trigger function, FOR EACH STATEMENT: brings kept tables up to date, in the transaction of the change, by the statements in tapdb.keeping.
-- Transition tables: changed (new rows) after INSERT and UPDATE, gone (old rows) after UPDATE and DELETE.
-- Nothing here makes Butler's own statement fail or wait: a lock that is not had within 10 ms is an error, and an error that can come from a
-- row, from a right that was taken away or from an object that was changed is noted, and mended by the next write or by refresh. Errors that
-- end the transaction in any case (serialization, resources, cancelling) are Butler's as much as ours.
-- A statement that settles is noted, to be run again, since others beside it do not see it, nor it them. That is left out where nobody is beside
-- it. Each transaction that changes Butler's tables holds an advisory lock, shared, which is never waited for. One that can have it alone at a
-- statement that settles keeps it so to its end: all others were over then, and who comes later finds it taken and notes its own statement.
-- While a set of kept tables is being filled nobody has it alone, as those who fill hold no such lock. A removal is noted in any case: who loads
-- what is removed, and is not over at its commit, cannot know of it.
-- SECURITY DEFINER, since those who ingest have no rights on tapdb's tables.
-- What is looked up has just been written, and is in memory: records are found by their indexes, not by reading small tables for each row.
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.keeping, tables/tapdb.view_definition, functions/tapdb.note_change, functions/tapdb.mend
-- drop
DROP FUNCTION IF EXISTS tapdb.keep();
-- create
CREATE FUNCTION tapdb.keep() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10ms'
SET jit = off
SET random_page_cost = 1.1
AS $$
DECLARE
  locked CONSTANT integer := 'tapdb.keep()'::regprocedure::oid::integer;
  registry CONSTANT integer := hashtext(TG_TABLE_SCHEMA);
  sees_all CONSTANT boolean := current_setting('transaction_isolation') = 'read committed';
  job record;
  task text;
  is_beside boolean;
  is_noted boolean;
  -- What is noted, in arrays of the same length: an event, kept tables (NULL for all), and what PostgreSQL said.
  events text[] := '{}';
  kepts text[] := '{}';
  problems text[] := '{}';
  concerned text;
BEGIN
  -- Butler makes sure of rows that are there already, with INSERT ... ON CONFLICT DO NOTHING, at each ingest.
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM changed) THEN RETURN NULL; END IF;
  ELSIF TG_OP IN ('UPDATE', 'DELETE') THEN
    IF NOT EXISTS (SELECT FROM gone) THEN RETURN NULL; END IF;
  END IF;
  -- With a snapshot of its own a transaction does not see what has come since, nor statements that have: they are run by the next write.
  is_beside := NOT pg_try_advisory_xact_lock_shared(locked, registry) OR NOT sees_all;
  is_noted := is_beside;
  BEGIN
    -- The lock stays: the loop does not wait for it.
    PERFORM FROM tapdb.keeping LIMIT 0;
    FOR job IN
      SELECT k.kept, array_agg(k.statement ORDER BY k.place) AS statements, bool_or(k.settles) AS settles
      FROM tapdb.keeping k
      WHERE k.registry_schema = TG_TABLE_SCHEMA AND k.relation = TG_TABLE_NAME AND k.event = TG_OP
      GROUP BY k.kept ORDER BY min(k.place)
    LOOP
      IF job.settles AND NOT is_noted THEN
        is_noted := TG_OP = 'DELETE'
          OR EXISTS (SELECT FROM tapdb.view_definition v WHERE v.registry_schema = TG_TABLE_SCHEMA AND v.stage = 'filling')
          OR NOT pg_try_advisory_xact_lock(locked, registry);
      END IF;
      BEGIN
        FOREACH task IN ARRAY job.statements LOOP
          EXECUTE task;
        END LOOP;
      EXCEPTION
        WHEN lock_not_available OR data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation
          OR object_not_in_prerequisite_state OR feature_not_supported OR program_limit_exceeded OR internal_error THEN
        RAISE WARNING 'tapdb could not bring % up to date after % on %.%: %', job.kept, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM
          USING HINT = 'The next write tries again; tapdb obscore check says what is missing, tapdb obscore refresh makes it again.';
        events := events || TG_OP;
        kepts := kepts || job.kept;
        problems := problems || SQLERRM;
        -- What stands on these rows is looked at again too, once they are right.
        is_noted := true;
      END;
    END LOOP;
  EXCEPTION WHEN lock_not_available THEN
    -- Somebody changes tapdb.keeping: what is to be done is not known, and done later.
    is_noted := true;
  END;
  IF is_noted THEN
    events := events || TG_OP;
    kepts := kepts || NULL::text;
    problems := problems || NULL::text;
    IF TG_OP = 'INSERT' AND is_beside THEN
      -- Rows that have been added are not added again: what they did not see is made up for as if they had been changed.
      events := events || 'UPDATE'::text;
      kepts := kepts || NULL::text;
      problems := problems || NULL::text;
    END IF;
    -- A thousand rows a note: one of all rows could be larger than a jsonb may be, and who mends it would keep a write waiting.
    concerned := concat_ws(' UNION ALL ',
      CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN
        'SELECT (row_number() OVER () - 1) / 1000 AS part, to_jsonb(c) - ''region'' AS new, NULL::jsonb AS old FROM changed c' END,
      CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN
        'SELECT (row_number() OVER () - 1) / 1000 AS part, NULL::jsonb AS new, to_jsonb(g) - ''region'' AS old FROM gone g' END,
      CASE WHEN TG_OP = 'TRUNCATE' THEN 'SELECT 0 AS part, NULL::jsonb AS new, NULL::jsonb AS old' END);
    EXECUTE 'SELECT tapdb.note_change($1, $2, n.event, n.kept, p.new, coalesce(p.old, CASE WHEN n.event <> $3 THEN p.new END), n.problem) '
      'FROM (SELECT jsonb_agg(r.new) FILTER (WHERE r.new IS NOT NULL) AS new, jsonb_agg(r.old) FILTER (WHERE r.old IS NOT NULL) AS old '
      'FROM (' || concerned || ') r GROUP BY r.part) p, unnest($4, $5, $6) n (event, kept, problem)'
      USING TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP, events, kepts, problems;
  END IF;
  -- With a snapshot of its own a transaction cannot see what others have committed since, and would fail where they have changed a row.
  IF sees_all THEN
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
