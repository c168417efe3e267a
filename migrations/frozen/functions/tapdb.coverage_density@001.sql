-- sha256 6e134ecae2266eb4367770cba4534cd385b9729255379756177fe304a82bbe90
-- How many observations cover each cell of an order, by band: for pictures. All datasets of the types are looked at, so a role
-- has to see all rows of the view.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, tables/tapdb.coverage_view, tables/tapdb.region_moc, tables/tapdb.dataset_type_mapping
-- requires: functions/tapdb.moc, functions/tapdb.readable_views
-- drop
DROP FUNCTION IF EXISTS tapdb.coverage_density(text, text[], integer, integer, integer);
-- create
CREATE FUNCTION tapdb.coverage_density(obscore_table text, dataset_types text[], "order" integer, first_night integer, last_night integer)
RETURNS TABLE (band text, cell bigint, observations bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  it record;
BEGIN
  SELECT v.* INTO it FROM tapdb.coverage_view v WHERE v.view_schema || '.' || v.view_name = obscore_table
    AND obscore_table IN (SELECT tapdb.readable_views());
  IF it.kept IS NULL OR to_regclass(format('tapdb.%I', it.kept || '_dataset')) IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format('
SELECT p.band, c.cell, count(DISTINCT p.observation)
FROM (
  SELECT o.band, o.observation, d.region
  FROM (%1$s) o JOIN tapdb.%2$I d ON d.observation = o.observation
  JOIN tapdb.dataset_type_mapping m ON m.kept = $1 AND m.number = d.type AND m.dataset_type = ANY ($2)
  WHERE o.day_obs BETWEEN coalesce($4, o.day_obs) AND coalesce($5, o.day_obs)
  GROUP BY o.band, o.observation, d.region
) p
JOIN tapdb.%3$I r ON r.region = p.region
LEFT JOIN tapdb.region_moc q ON q.regions = $6 AND q.region = r.region AND q.outline = hashtextextended(r.outline, 0)
CROSS JOIN LATERAL unnest(coalesce(q.moc, tapdb.moc(r.pgs_region, 11))) u (cells)
CROSS JOIN LATERAL generate_series(lower(u.cells) >> (58 - 2 * $3), (upper(u.cells) - 1) >> (58 - 2 * $3)) c (cell)
GROUP BY p.band, c.cell',
    format(it.observed, format('tapdb.%I', it.kept || '_observation')), it.kept || '_dataset', it.regions)
  USING it.kept, dataset_types, "order", first_night, last_night, it.regions;
END
$$;
ALTER FUNCTION tapdb.coverage_density(text, text[], integer, integer, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.coverage_density(text, text[], integer, integer, integer) IS 'How many observations cover each cell of an order, by band.';
REVOKE ALL ON FUNCTION tapdb.coverage_density(text, text[], integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.coverage_density(text, text[], integer, integer, integer) TO tapdb_reader;
