-- sha256 2f0913eecd89c5a08808240d3b6246dc618efe3e331ee98f31a726bd671d1fcd
-- What coverage there is now of all nights, of each dataset type, instrument and band that has changed since it was folded last. id is the
-- folded row that it replaces. If nothing was lost, what has come is added to it; else the MOCs of all nights are united again.
-- SECURITY DEFINER, as tapdb.coverage_changes is.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, tables/tapdb.coverage_group, tables/tapdb.coverage_total, functions/tapdb.coverage_changes
-- requires: functions/tapdb.moc_area
-- drop
DROP FUNCTION IF EXISTS tapdb.coverage_total_changes(text);
-- create
CREATE FUNCTION tapdb.coverage_total_changes(base text) RETURNS TABLE (
  kept text, id bigint, type smallint, instrument text, band text, datasets bigint, t_min double precision, t_max double precision,
  moc int8multirange
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
WITH now AS MATERIALIZED (
  SELECT * FROM tapdb.coverage_changes(base)
), touched AS MATERIALIZED (
  SELECT n.kept, n.type, n.instrument, n.band, bool_or(n.is_again) AS is_again, range_agg(n.moc) AS moc
  FROM now n GROUP BY n.kept, n.type, n.instrument, n.band
)
SELECT t.kept, f.id, t.type, t.instrument, t.band, coalesce(g.datasets, 0), g.t_min, g.t_max,
  CASE WHEN t.is_again THEN coalesce((
      SELECT range_agg(p.moc) FROM tapdb.coverage_group p
      WHERE p.kept = t.kept AND p.type = t.type AND p.instrument IS NOT DISTINCT FROM t.instrument AND p.band IS NOT DISTINCT FROM t.band
        AND p.id NOT IN (SELECT n.id FROM now n WHERE n.id IS NOT NULL)), '{}') + t.moc
    ELSE coalesce(f.moc, '{}') + t.moc END
FROM touched t
LEFT JOIN tapdb.coverage_total f ON f.kept = t.kept AND f.type = t.type AND f.instrument IS NOT DISTINCT FROM t.instrument
  AND f.band IS NOT DISTINCT FROM t.band
CROSS JOIN LATERAL (
  SELECT sum(p.datasets)::bigint AS datasets, min(p.t_min) AS t_min, max(p.t_max) AS t_max
  FROM (
    SELECT q.datasets, q.t_min, q.t_max FROM tapdb.coverage_group q
    WHERE q.kept = t.kept AND q.type = t.type AND q.instrument IS NOT DISTINCT FROM t.instrument AND q.band IS NOT DISTINCT FROM t.band
      AND q.id NOT IN (SELECT n.id FROM now n WHERE n.id IS NOT NULL)
    UNION ALL
    SELECT n.datasets, n.t_min, n.t_max FROM now n
    WHERE n.kept = t.kept AND n.type = t.type AND n.instrument IS NOT DISTINCT FROM t.instrument AND n.band IS NOT DISTINCT FROM t.band
  ) p
) g
$$;
ALTER FUNCTION tapdb.coverage_total_changes(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.coverage_total_changes(text) IS 'Coverage of all nights, of what has changed since it was folded; of one view or (NULL) of all.';
REVOKE ALL ON FUNCTION tapdb.coverage_total_changes(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.coverage_total_changes(text) TO tapdb_reader;
