-- sha256 c3b40f4f887ec221a9563bd01efe2008b8dda86b9cbb5707b986017a95fbd0c2
-- Trigger function, FOR EACH STATEMENT, on kept tables of a view whose coverage is kept: says in tapdb.coverage_delta what has changed.
-- Arguments: what begins the names of the kept tables; dataset, observation or region, the table that it is on.
-- Transition tables: changed (new rows) after INSERT and UPDATE, gone (old rows) after UPDATE and DELETE.
-- Datasets that come, and regions that datasets get which had none, are added. All else is computed again when it is read: what a MOC has lost
-- cannot be told from what it has.
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.coverage_view, tables/tapdb.coverage_delta
-- drop
DROP FUNCTION IF EXISTS tapdb.note_coverage();
-- create
CREATE FUNCTION tapdb.note_coverage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  base CONSTANT text := TG_ARGV[0];
  ours record;
BEGIN
  -- Most statements that keep tables find nothing to do.
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM changed) THEN RETURN NULL; END IF;
  ELSIF NOT EXISTS (SELECT FROM gone) THEN
    RETURN NULL;
  END IF;
  IF TG_ARGV[1] = 'dataset' AND TG_OP = 'INSERT' THEN
    IF EXISTS (SELECT FROM changed c WHERE c.t_min IS NULL) THEN
      -- Products without a time belong to the night in which they came.
      SELECT v.ingested, v.registry_schema INTO ours FROM tapdb.coverage_view v WHERE v.kept = base;
      EXECUTE format('INSERT INTO tapdb.coverage_delta (kept, observation, type, day_obs, datasets, regions) '
        'SELECT $1, c.observation, c.type, CASE WHEN c.t_min IS NULL THEN %s END, count(*), '
        'array_agg(DISTINCT c.region) FILTER (WHERE c.region IS NOT NULL) '
        'FROM changed c LEFT JOIN %I.dataset ds ON ds.id = c.dataset_id AND c.t_min IS NULL GROUP BY 2, 3, 4', ours.ingested, ours.registry_schema)
      USING base;
    ELSE
      INSERT INTO tapdb.coverage_delta (kept, observation, type, datasets, regions)
      SELECT base, c.observation, c.type, count(*), array_agg(DISTINCT c.region) FILTER (WHERE c.region IS NOT NULL)
      FROM changed c GROUP BY c.observation, c.type;
    END IF;
  ELSIF TG_ARGV[1] = 'dataset' AND TG_OP = 'UPDATE' THEN
    WITH pairs AS MATERIALIZED (
      SELECT c.observation, c.type, c.t_min, c.region, g.observation AS old_observation, g.type AS old_type, g.t_min AS old_t_min,
        g.region IS NULL AND c.region IS NOT NULL AND (g.observation, g.type, g.t_min) = (c.observation, c.type, c.t_min) AS is_added
      FROM changed c JOIN gone g ON g.dataset_id = c.dataset_id
      WHERE (g.observation, g.type, g.t_min, g.region) IS DISTINCT FROM (c.observation, c.type, c.t_min, c.region)
    ), added AS (
      INSERT INTO tapdb.coverage_delta (kept, observation, type, regions)
      SELECT base, p.observation, p.type, array_agg(DISTINCT p.region) FROM pairs p WHERE p.is_added GROUP BY p.observation, p.type
    )
    INSERT INTO tapdb.coverage_delta (kept, observation, type, is_again, is_any_day)
    SELECT DISTINCT base, x.observation, x.type, true, x.is_any_day
    FROM pairs p
    CROSS JOIN LATERAL (VALUES (p.old_observation, p.old_type, p.old_t_min IS NULL), (p.observation, p.type, p.t_min IS NULL))
      x (observation, type, is_any_day)
    WHERE p.is_added IS NOT TRUE;
  ELSIF TG_ARGV[1] = 'dataset' THEN
    INSERT INTO tapdb.coverage_delta (kept, observation, type, is_again, is_any_day)
    SELECT base, g.observation, g.type, true, bool_or(g.t_min IS NULL) FROM gone g GROUP BY g.observation, g.type;
  ELSIF TG_ARGV[1] = 'observation' THEN
    SELECT v.observed INTO ours FROM tapdb.coverage_view v WHERE v.kept = base;
    IF TG_OP = 'UPDATE' THEN
      EXECUTE format('INSERT INTO tapdb.coverage_delta (kept, is_again, instrument, band, day_obs, is_any_day) '
        'SELECT DISTINCT $1, true, x.instrument, x.band, x.day_obs, x.day_obs IS NULL '
        'FROM (%s) c FULL JOIN (%s) g ON g.observation = c.observation CROSS JOIN LATERAL '
        '(VALUES (g.instrument, g.band, g.day_obs), (c.instrument, c.band, c.day_obs)) x (instrument, band, day_obs) '
        'WHERE (c.instrument, c.band, c.day_obs, c.t_min, c.t_max) IS DISTINCT FROM (g.instrument, g.band, g.day_obs, g.t_min, g.t_max)',
        format(ours.observed, 'changed'), format(ours.observed, 'gone')) USING base;
    ELSE
      EXECUTE format('INSERT INTO tapdb.coverage_delta (kept, is_again, instrument, band, day_obs, is_any_day) '
        'SELECT DISTINCT $1, true, g.instrument, g.band, g.day_obs, g.day_obs IS NULL FROM (%s) g', format(ours.observed, 'gone')) USING base;
    END IF;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO tapdb.coverage_delta (kept, is_again, region)
    SELECT base, true, g.region FROM gone g LEFT JOIN changed c ON c.region = g.region WHERE c.outline IS DISTINCT FROM g.outline;
  ELSE
    INSERT INTO tapdb.coverage_delta (kept, is_again, region) SELECT base, true, g.region FROM gone g;
  END IF;
  RETURN NULL;
END
$$;
ALTER FUNCTION tapdb.note_coverage() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.note_coverage() IS 'Trigger function that says what has changed of the coverage of a view.';
REVOKE ALL ON FUNCTION tapdb.note_coverage() FROM PUBLIC;
