-- sha256 cee160e264908347771d5b01c60eac16f0991c54ce562ef528d05d3cefaca910
-- What coverage there is now of each group (dataset type, instrument, band, night) that has changed since it was folded last. id is the folded
-- row that it replaces, if there is one; a group without datasets has none any more. is_again: it was computed from all of its datasets.
-- Groups of observations are looked up now, and not when they were noted: a band may be corrected beside an ingest, neither sees the other,
-- and both are seen here. The function is STABLE: it sees what the query sees that calls it.
-- SECURITY DEFINER, since the views of coverage call it, whose readers have no rights on kept tables. It tells a role what has changed of views
-- whose rows that role may see, all of them; and those who fold (tapdb_service, tapdb_owner) of the view that they name.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, tables/tapdb.coverage_view, tables/tapdb.coverage_delta, tables/tapdb.coverage_group
-- requires: tables/tapdb.region_moc, functions/tapdb.moc, functions/tapdb.readable_views, roles/tapdb_service
-- drop
DROP FUNCTION IF EXISTS tapdb.coverage_changes(text);
-- create
CREATE FUNCTION tapdb.coverage_changes(base text) RETURNS TABLE (
  kept text, id bigint, type smallint, instrument text, band text, day_obs integer, datasets bigint, t_min double precision, t_max double precision,
  moc int8multirange, is_again boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  it record;
  caller CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
  folds CONSTANT boolean := base IS NOT NULL AND (pg_has_role(caller, 'tapdb_service', 'MEMBER') OR pg_has_role(caller, 'tapdb_owner', 'MEMBER'));
  -- Whether a row x of what is to be computed again is of a group, whose type, instrument, band and night are put in.
  concerns CONSTANT text := '(x.is_all OR ((x.type IS NULL OR x.type = %1$s) AND x.instrument IS NOT DISTINCT FROM %2$s '
    'AND x.band IS NOT DISTINCT FROM %3$s AND (x.is_any_day OR x.day_obs IS NOT DISTINCT FROM %4$s)))';
  same CONSTANT text := '%1$s.type = %2$s.type AND %1$s.instrument IS NOT DISTINCT FROM %2$s.instrument '
    'AND %1$s.band IS NOT DISTINCT FROM %2$s.band AND %1$s.day_obs IS NOT DISTINCT FROM %2$s.day_obs';
BEGIN
  FOR it IN
    SELECT v.* FROM tapdb.coverage_view v
    WHERE (base IS NULL OR v.kept = base) AND EXISTS (SELECT FROM tapdb.coverage_delta e WHERE e.kept = v.kept)
      AND to_regclass(format('tapdb.%I', v.kept || '_dataset')) IS NOT NULL
      AND (folds OR v.view_schema || '.' || v.view_name IN (SELECT tapdb.readable_views()))
    ORDER BY v.kept
  LOOP
    RETURN QUERY EXECUTE format('
WITH delta AS MATERIALIZED (
  SELECT * FROM tapdb.coverage_delta e WHERE e.kept = $1
), o AS NOT MATERIALIZED (%1$s),
dirty AS MATERIALIZED (
  SELECT e.type, o.instrument, o.band, o.day_obs, e.is_any_day OR o.day_obs IS NULL AS is_any_day, false AS is_all
  FROM delta e JOIN o ON o.observation = e.observation WHERE e.is_again
  UNION SELECT NULL::smallint, o.instrument, o.band, o.day_obs, o.day_obs IS NULL, false
  FROM delta e JOIN tapdb.%2$I d ON d.region = e.region JOIN o ON o.observation = d.observation WHERE e.is_again
  UNION SELECT e.type, e.instrument, e.band, e.day_obs, e.is_any_day, e.is_all
  FROM delta e WHERE e.is_again AND e.observation IS NULL AND e.region IS NULL
), added AS MATERIALIZED (
  SELECT a.* FROM (
    SELECT e.type, o.instrument, o.band, coalesce(o.day_obs, e.day_obs) AS day_obs, e.datasets, o.t_min, o.t_max, e.regions
    FROM delta e JOIN o ON o.observation = e.observation WHERE NOT e.is_again
  ) a WHERE NOT EXISTS (SELECT FROM dirty x WHERE ' || format(concerns, 'a.type', 'a.instrument', 'a.band', 'a.day_obs') || ')
), observed AS MATERIALIZED (
  SELECT o.* FROM o WHERE EXISTS (SELECT FROM dirty)
    AND EXISTS (SELECT FROM dirty x WHERE ' || format(concerns, 'x.type', 'o.instrument', 'o.band', 'coalesce(o.day_obs, x.day_obs)') || ')
), found AS (
  SELECT d.type, p.instrument, p.band, coalesce(p.day_obs, %4$s) AS day_obs, p.t_min, p.t_max, d.region
  FROM observed p JOIN tapdb.%2$I d ON d.observation = p.observation
  LEFT JOIN %5$I.dataset ds ON ds.id = d.dataset_id AND p.day_obs IS NULL
), parts AS MATERIALIZED (
  SELECT a.*, false AS is_again FROM added a
  UNION ALL
  SELECT f.type, f.instrument, f.band, f.day_obs, count(*)::integer, min(f.t_min), max(f.t_max),
    array_agg(DISTINCT f.region) FILTER (WHERE f.region IS NOT NULL), true
  FROM found f WHERE EXISTS (SELECT FROM dirty x WHERE ' || format(concerns, 'f.type', 'f.instrument', 'f.band', 'f.day_obs') || ')
  GROUP BY 1, 2, 3, 4
), sums AS MATERIALIZED (
  SELECT row_number() OVER () AS number, p.type, p.instrument, p.band, p.day_obs, sum(p.datasets)::bigint AS datasets,
    min(p.t_min) AS t_min, max(p.t_max) AS t_max, bool_or(p.is_again) AS is_again
  FROM parts p GROUP BY p.type, p.instrument, p.band, p.day_obs
), mocs AS (
  SELECT w.number, range_agg(coalesce(m.moc, tapdb.moc(r.pgs_region, 11))) AS moc
  FROM (
    SELECT DISTINCT s.number, u.region FROM parts p JOIN sums s ON ' || format(same, 's', 'p') || ', unnest(p.regions) u (region)
  ) w
  JOIN tapdb.%3$I r ON r.region = w.region
  LEFT JOIN tapdb.region_moc m ON m.regions = $2 AND m.region = r.region AND m.outline = hashtextextended(r.outline, 0)
  WHERE r.pgs_region IS NOT NULL
  GROUP BY w.number
)
SELECT $1, f.id, s.type, s.instrument, s.band, s.day_obs, s.datasets + CASE WHEN s.is_again THEN 0 ELSE coalesce(f.datasets, 0) END,
  CASE WHEN s.is_again THEN s.t_min ELSE least(s.t_min, f.t_min) END, CASE WHEN s.is_again THEN s.t_max ELSE greatest(s.t_max, f.t_max) END,
  CASE WHEN s.is_again OR f.moc IS NULL THEN coalesce(m.moc, ''{}'') WHEN m.moc IS NULL THEN f.moc ELSE f.moc + m.moc END, s.is_again
FROM sums s LEFT JOIN mocs m USING (number) LEFT JOIN tapdb.coverage_group f ON f.kept = $1 AND ' || format(same, 'f', 's') || '
UNION ALL
SELECT $1, f.id, f.type, f.instrument, f.band, f.day_obs, 0, NULL, NULL, ''{}''::int8multirange, true
FROM tapdb.coverage_group f
WHERE f.kept = $1 AND EXISTS (SELECT FROM dirty x WHERE ' || format(concerns, 'f.type', 'f.instrument', 'f.band', 'f.day_obs') || ')
  AND NOT EXISTS (SELECT FROM sums s WHERE ' || format(same, 'f', 's') || ')',
      format(it.observed, format('tapdb.%I', it.kept || '_observation')), it.kept || '_dataset', it.regions, it.ingested, it.registry_schema)
    USING it.kept, it.regions;
  END LOOP;
END
$$;
ALTER FUNCTION tapdb.coverage_changes(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.coverage_changes(text) IS 'Coverage of what has changed since it was folded, of one view or (NULL) of all.';
REVOKE ALL ON FUNCTION tapdb.coverage_changes(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.coverage_changes(text) TO tapdb_reader;
