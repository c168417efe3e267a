-- Trigger function, FOR EACH STATEMENT, on kept tables of a view whose journal is kept: appends what has changed to tapdb.journal.
-- Arguments: what begins the names of the kept tables; dataset, observation, region or collection, the table that it is on; whether the commit sends a NOTIFY;
-- the hour UTC at which an observing day begins.
-- Transition tables: changed (new rows) after INSERT and UPDATE, gone (old rows) after UPDATE and DELETE.
-- Of what is changed the rows are kept as they were, so that a reader can tell what a query has found before (tapdb.journal_changes).
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.journal, functions/tapdb.night
-- drop
DROP FUNCTION IF EXISTS tapdb.note_journal();
-- create
CREATE FUNCTION tapdb.note_journal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  base CONSTANT text := TG_ARGV[0];
  what CONSTANT text := TG_ARGV[1];
  sends CONSTANT boolean := TG_ARGV[2];
  hours CONSTANT double precision := TG_ARGV[3];
  today CONSTANT double precision := extract(epoch FROM now()) / 86400 + 40587;
BEGIN
  -- Most statements that keep tables find nothing to do.
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM changed) THEN RETURN NULL; END IF;
  ELSIF NOT EXISTS (SELECT FROM gone) THEN
    RETURN NULL;
  END IF;
  IF what = 'dataset' AND TG_OP = 'INSERT' THEN
    INSERT INTO tapdb.journal (kept, event, wakes, types, nights, datasets)
    SELECT base, 'come', sends, array_agg(DISTINCT p.type), array_agg(DISTINCT tapdb.night(p.t_min, hours)), array_agg(p.dataset_id)
    FROM (SELECT c.type, coalesce(c.t_min, today) AS t_min, c.dataset_id, (row_number() OVER () - 1) / 10000 AS part FROM changed c) p
    GROUP BY p.part;
  ELSIF what = 'dataset' AND TG_OP = 'UPDATE' THEN
    INSERT INTO tapdb.journal (kept, event, wakes, types, nights, datasets, was)
    SELECT base, 'changed', sends, array_agg(DISTINCT p.type), array_agg(DISTINCT tapdb.night(p.t_min, hours)), array_agg(p.dataset_id), jsonb_agg(p.was)
    FROM (
      SELECT c.type, coalesce(c.t_min, today) AS t_min, c.dataset_id, to_jsonb(g) AS was, (row_number() OVER () - 1) / 1000 AS part
      FROM changed c JOIN gone g ON g.dataset_id = c.dataset_id WHERE to_jsonb(g) IS DISTINCT FROM to_jsonb(c)
    ) p
    GROUP BY p.part;
  ELSIF what = 'dataset' THEN
    INSERT INTO tapdb.journal (kept, event, wakes, types, nights, datasets, was)
    SELECT base, 'gone', sends, array_agg(DISTINCT p.type), array_agg(DISTINCT tapdb.night(p.t_min, hours)), array_agg(p.dataset_id), jsonb_agg(p.was)
    FROM (
      SELECT g.type, coalesce(g.t_min, today) AS t_min, g.dataset_id, to_jsonb(g) AS was, (row_number() OVER () - 1) / 1000 AS part FROM gone g
    ) p
    GROUP BY p.part;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO tapdb.journal (kept, event, wakes, was)
    SELECT base, what, sends, jsonb_agg(p.was)
    FROM (SELECT to_jsonb(g) AS was, (row_number() OVER () - 1) / 1000 AS part FROM gone g) p GROUP BY p.part;
  ELSE
    -- The key of each of these tables is the column that is named as what it is of.
    INSERT INTO tapdb.journal (kept, event, wakes, was)
    SELECT base, what, sends, jsonb_agg(p.was)
    FROM (
      SELECT g.was, (row_number() OVER () - 1) / 1000 AS part
      FROM (SELECT to_jsonb(x) AS was FROM gone x) g LEFT JOIN (SELECT to_jsonb(x) AS is_now FROM changed x) c ON c.is_now -> what = g.was -> what
      WHERE c.is_now IS DISTINCT FROM g.was
    ) p
    GROUP BY p.part;
  END IF;
  RETURN NULL;
END
$$;
ALTER FUNCTION tapdb.note_journal() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.note_journal() IS 'Trigger function that appends what has changed to the journal of a view.';
REVOKE ALL ON FUNCTION tapdb.note_journal() FROM PUBLIC;
