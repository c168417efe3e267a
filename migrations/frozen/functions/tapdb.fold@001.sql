-- sha256 6645df24bc794591119a50935fe0daddec6c625a12ec9ffd1c9966f65b14c35a
-- Constraint trigger function: at the end of a transaction of logical replication, brings kept tables up to date with all its changes
-- (tapdb.followed_change), by the statements in tapdb.keeping. Readers see the transaction whole, as on the primary.
-- Changes of one kind to one table that follow each other are one run, of at most ten thousand rows; there are never more runs than there were
-- statements on the primary. All statements see the tables as they are at the end, and may be run any number of times.
-- Removals come first, the last of them before all others: a foreign key removes rows after those that they refer to, and what is kept of
-- a dataset is found through its collection. They are run as updates without new rows, since a row may have come back in the transaction;
-- so are new rows of a table that has lost rows, as what was kept of the old ones may have stayed.
-- Only this transaction changes the registry's copies and what is kept of them, so nothing is noted to be run again, unless kept tables are
-- being filled beside it. An error that can come from a row is noted, as in tapdb.keep; every other one stops the subscription.
-- What is looked up has just been written, and is in memory: records are found by their indexes, not by reading small tables for each row.
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.keeping, tables/tapdb.view_definition, functions/tapdb.note_change, functions/tapdb.mend
-- drop
DROP FUNCTION IF EXISTS tapdb.fold();
-- create
CREATE FUNCTION tapdb.fold() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET random_page_cost = 1.1
AS $$
DECLARE
  mine CONSTANT xid8 := pg_current_xact_id();
  registries text[];
  registry text;
  run record;
  job record;
  task text;
  given text;
BEGIN
  -- A change that comes after this one, in the same transaction, is the first of those to be folded next.
  PERFORM set_config('tapdb.follows', '', true);
  FOR run IN
    WITH ordered AS (
      SELECT c.*, row_number() OVER w - row_number() OVER (PARTITION BY c.registry_schema, c.relation, c.event ORDER BY c.number) AS island,
        bool_or(c.gone IS NOT NULL) OVER (PARTITION BY c.registry_schema, c.relation) AS is_mixed
      FROM tapdb.followed_change c WHERE c.transaction = mine WINDOW w AS (ORDER BY c.number)
    ), numbered AS (
      SELECT o.*, (row_number() OVER (PARTITION BY o.registry_schema, o.relation, o.event, o.island ORDER BY o.number) - 1) / 10000 AS part
      FROM ordered o
    )
    SELECT n.registry_schema, n.relation, CASE WHEN n.event = 'TRUNCATE' OR NOT bool_or(n.is_mixed) THEN n.event ELSE 'UPDATE' END AS acts_as,
      jsonb_agg(n.changed) FILTER (WHERE n.changed IS NOT NULL) AS changed, jsonb_agg(n.gone) FILTER (WHERE n.gone IS NOT NULL) AS gone,
      CASE n.event WHEN 'TRUNCATE' THEN 1 WHEN 'DELETE' THEN 2 ELSE 3 END AS stage
    FROM numbered n
    GROUP BY n.registry_schema, n.relation, n.event, n.island, n.part
    ORDER BY stage, CASE WHEN n.event = 'DELETE' THEN - min(n.number) ELSE min(n.number) END
  LOOP
    IF registries IS NULL OR run.registry_schema <> ALL (registries) THEN
      registries := registries || run.registry_schema;
    END IF;
    given := format('WITH changed AS (SELECT * FROM jsonb_populate_recordset(NULL::%1$I.%2$I, $1)), '
      'gone AS (SELECT * FROM jsonb_populate_recordset(NULL::%1$I.%2$I, $2)) ', run.registry_schema, run.relation);
    FOR job IN
      SELECT k.kept, array_agg(k.statement ORDER BY k.place) AS statements
      FROM tapdb.keeping k
      WHERE k.registry_schema = run.registry_schema AND k.relation = run.relation AND k.event = run.acts_as
      GROUP BY k.kept ORDER BY min(k.place)
    LOOP
      BEGIN
        FOREACH task IN ARRAY job.statements LOOP
          EXECUTE given || task USING run.changed, run.gone;
        END LOOP;
      EXCEPTION
        WHEN data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation
          OR object_not_in_prerequisite_state OR feature_not_supported OR program_limit_exceeded OR internal_error THEN
        RAISE WARNING 'tapdb could not bring % up to date after % on %.%: %', job.kept, run.acts_as, run.registry_schema, run.relation, SQLERRM
          USING HINT = 'The next change tries again; tapdb obscore check says what is missing, tapdb obscore refresh makes it again.';
        PERFORM tapdb.note_change(run.registry_schema, run.relation, run.acts_as, job.kept, run.changed, run.gone, SQLERRM);
      END;
    END LOOP;
    IF EXISTS (SELECT FROM tapdb.view_definition v WHERE v.registry_schema = run.registry_schema AND v.stage = 'filling') THEN
      PERFORM tapdb.note_change(run.registry_schema, run.relation, run.acts_as, NULL, run.changed, run.gone, NULL);
    END IF;
  END LOOP;
  DELETE FROM tapdb.followed_change c WHERE c.transaction = mine;
  FOREACH registry IN ARRAY coalesce(registries, '{}') LOOP
    IF EXISTS (SELECT FROM tapdb.kept_note n WHERE n.registry_schema = registry AND n.transaction <> mine) THEN
      PERFORM tapdb.mend(registry, 100);
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
ALTER FUNCTION tapdb.fold() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.fold() IS 'Trigger function that brings kept tables up to date with a transaction of logical replication.';
REVOKE ALL ON FUNCTION tapdb.fold() FROM PUBLIC;
