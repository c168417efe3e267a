-- Datasets of a view of which something has changed since a snapshot, with the row that the view with all rows had of each then (NULL: none).
-- Since a commit may come after that of a transaction with a larger number, what is new is what the snapshot does not see.
-- A row as it was is computed by the view itself, from kept rows as they were: the statement of the view names its kept tables without a schema,
-- and tables of WITH stand in their place. Of several changes of one row the first tells how it was.
-- Where the view that readers see holds rows back, those come too whose release lies in (released_since, released_until]; released_until is NULL
-- where nobody looks for these. Only datasets are told that the role that reads finds in the view that it sees.
-- STABLE: it sees what the query sees that calls it.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, tables/tapdb.journal_view, tables/tapdb.journal
-- drop
DROP FUNCTION IF EXISTS tapdb.journal_changes(text, text, pg_snapshot, timestamp, timestamp);
-- create
CREATE FUNCTION tapdb.journal_changes(
  shown_schema text, shown_name text, since pg_snapshot, released_since timestamp, released_until timestamp
) RETURNS TABLE (dataset_id uuid, was jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 200
SET search_path = pg_catalog, tapdb, pg_temp
SET jit = off
AS $$
DECLARE
  it record;
  shown CONSTANT text := format('%I.%I', shown_schema, shown_name);
  whole text;
  later text := '';
BEGIN
  SELECT v.* INTO it FROM tapdb.journal_view v
  WHERE v.shown_schema = $1 AND v.shown_name = $2
    AND has_table_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user)::name, to_regclass(shown)::oid, 'SELECT');
  IF NOT FOUND THEN RETURN; END IF;
  whole := format('%I.%I', it.view_schema, it.view_name);
  IF whole <> shown AND released_until IS NOT NULL THEN
    later := format('UNION SELECT v.registry_dataset_id FROM %s v WHERE v.obs_release_date > $3 AND v.obs_release_date <= $4', whole);
  END IF;
  RETURN QUERY EXECUTE format('
WITH tapdb_entry AS MATERIALIZED (
  SELECT j.entry, j.event, j.datasets, j.was FROM tapdb.journal j
  WHERE j.kept = $1 AND j.transaction >= pg_snapshot_xmin($2) AND NOT pg_visible_in_snapshot(j.transaction, $2)
), tapdb_first AS MATERIALIZED (
  SELECT DISTINCT ON (f.dataset_id) f.dataset_id, f.was FROM (
    SELECT e.entry, d.dataset_id, NULL::jsonb AS was FROM tapdb_entry e, unnest(e.datasets) d (dataset_id) WHERE e.event = ''come''
    UNION ALL
    SELECT e.entry, (w.was ->> ''dataset_id'')::uuid, w.was FROM tapdb_entry e, jsonb_array_elements(e.was) w (was) WHERE e.event IN (''changed'', ''gone'')
  ) f ORDER BY f.dataset_id, f.entry
), tapdb_observation AS MATERIALIZED (
  SELECT DISTINCT ON (r.observation) r.* FROM tapdb_entry e, jsonb_populate_recordset(NULL::tapdb.%2$I, e.was) r
  WHERE e.event = ''observation'' ORDER BY r.observation, e.entry
), tapdb_region AS MATERIALIZED (
  SELECT DISTINCT ON (r.region) r.* FROM tapdb_entry e, jsonb_populate_recordset(NULL::tapdb.%3$I, e.was) r
  WHERE e.event = ''region'' ORDER BY r.region, e.entry
), tapdb_collection AS MATERIALIZED (
  SELECT DISTINCT ON (r.collection) r.* FROM tapdb_entry e, jsonb_populate_recordset(NULL::tapdb.%7$I, e.was) r
  WHERE e.event = ''collection'' ORDER BY r.collection, e.entry
), tapdb_found AS MATERIALIZED (
  SELECT f.dataset_id FROM tapdb_first f
  UNION SELECT d.dataset_id FROM tapdb_observation o JOIN tapdb.%1$I d ON d.observation = o.observation
  UNION SELECT d.dataset_id FROM tapdb_region r JOIN tapdb.%1$I d ON d.region = r.region
  UNION SELECT d.dataset_id FROM tapdb_collection k JOIN tapdb.%1$I d ON d.collection = k.collection
  %6$s
), tapdb_told AS MATERIALIZED (
  SELECT f.dataset_id FROM tapdb_found f WHERE EXISTS (SELECT FROM %5$s s WHERE s.registry_dataset_id = f.dataset_id)
), %1$I AS MATERIALIZED (
  SELECT r.* FROM tapdb_told t JOIN tapdb_first f ON f.dataset_id = t.dataset_id, jsonb_populate_record(NULL::tapdb.%1$I, f.was) r WHERE f.was IS NOT NULL
  UNION ALL
  SELECT d.* FROM tapdb_told t JOIN tapdb.%1$I d ON d.dataset_id = t.dataset_id
  WHERE NOT EXISTS (SELECT FROM tapdb_first f WHERE f.dataset_id = t.dataset_id)
), %2$I AS MATERIALIZED (
  SELECT * FROM tapdb_observation
  UNION ALL
  SELECT o.* FROM tapdb.%2$I o WHERE o.observation IN (SELECT d.observation FROM %1$I d)
    AND NOT EXISTS (SELECT FROM tapdb_observation x WHERE x.observation = o.observation)
), %3$I AS MATERIALIZED (
  SELECT * FROM tapdb_region
  UNION ALL
  SELECT r.* FROM tapdb.%3$I r WHERE r.region IN (SELECT d.region FROM %1$I d)
    AND NOT EXISTS (SELECT FROM tapdb_region x WHERE x.region = r.region)
), %7$I AS MATERIALIZED (
  SELECT * FROM tapdb_collection
  UNION ALL
  SELECT k.* FROM tapdb.%7$I k WHERE NOT EXISTS (SELECT FROM tapdb_collection x WHERE x.collection = k.collection)
)
SELECT t.dataset_id, to_jsonb(v) FROM tapdb_told t LEFT JOIN (%4$s) v ON v.registry_dataset_id = t.dataset_id',
    it.kept || '_dataset', it.kept || '_observation', it.regions, rtrim(pg_get_viewdef(whole::regclass), ';'), shown, later, it.kept || '_collection')
  USING it.kept, since, released_since, released_until;
END
$$;
ALTER FUNCTION tapdb.journal_changes(text, text, pg_snapshot, timestamp, timestamp) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.journal_changes(text, text, pg_snapshot, timestamp, timestamp) IS 'Datasets of a view that have changed since a snapshot, with their rows as they were then.';
REVOKE ALL ON FUNCTION tapdb.journal_changes(text, text, pg_snapshot, timestamp, timestamp) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.journal_changes(text, text, pg_snapshot, timestamp, timestamp) TO tapdb_reader;
