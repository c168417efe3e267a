-- Visits of a night: how much of each was covered by templates of its band, as of its night and as of now, how many images and difference
-- images there are, and why there are fewer difference images than images. Detectors are told apart, since templates end between them.
-- SECURITY DEFINER, as tapdb.coverage_changes is; a role has to see all rows of the view.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, views/tapdb.coverage, tables/tapdb.region_moc, functions/tapdb.moc, functions/tapdb.moc_area
-- requires: functions/tapdb.readable_views
-- drop
DROP FUNCTION IF EXISTS tapdb.visit_templates(text, integer);
-- create
CREATE FUNCTION tapdb.visit_templates(base text, night integer) RETURNS TABLE (
  instrument_name text, visit bigint, band text, t_min double precision, image_count bigint, difference_count bigint, area double precision,
  template_fraction double precision, template_fraction_now double precision, reason text
)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  it record;
BEGIN
  SELECT v.* INTO it FROM tapdb.coverage_view v WHERE v.kept = base
    AND v.view_schema || '.' || v.view_name IN (SELECT tapdb.readable_views());
  IF it.kept IS NULL OR to_regclass(format('tapdb.%I', base || '_dataset')) IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format('
WITH o AS MATERIALIZED (
  SELECT * FROM (%1$s) s WHERE s.day_obs = $2 AND s.visit IS NOT NULL
), types AS MATERIALIZED (
  SELECT m.number, m.dataset_type = ANY ($3) AS is_image, m.dataset_type = ANY ($4) AS is_difference
  FROM tapdb.dataset_type_mapping m WHERE m.kept = $1 AND (m.dataset_type = ANY ($3) OR m.dataset_type = ANY ($4))
), templates AS MATERIALIZED (
  SELECT c.band, range_agg(c.moc_ranges) FILTER (WHERE c.day_obs <= $2) AS before, range_agg(c.moc_ranges) AS now
  FROM tapdb.coverage c WHERE c.kept = $1 AND c.stage = ''template'' GROUP BY c.band
), seen AS MATERIALIZED (
  SELECT o.instrument, o.visit, o.band, min(o.t_min) AS t_min, d.region, d.detector, count(*) FILTER (WHERE t.is_image) AS images,
    count(*) FILTER (WHERE t.is_difference) AS differences
  FROM o JOIN tapdb.%2$I d ON d.observation = o.observation JOIN types t ON t.number = d.type
  GROUP BY o.instrument, o.visit, o.band, d.region, d.detector
), covered AS (
  SELECT s.*, coalesce(x.moc, ''{}'') AS moc
  FROM seen s LEFT JOIN LATERAL (
    SELECT coalesce(m.moc, tapdb.moc(r.pgs_region, 11)) AS moc
    FROM tapdb.%3$I r LEFT JOIN tapdb.region_moc m ON m.regions = $5 AND m.region = r.region AND m.outline = hashtextextended(r.outline, 0)
    WHERE r.region = s.region) x ON true
), visits AS (
  SELECT c.instrument, c.visit, c.band, min(c.t_min) AS t_min, count(*) FILTER (WHERE c.images > 0) AS images,
    count(*) FILTER (WHERE c.differences > 0) AS differences, range_agg(c.moc) AS moc,
    count(*) FILTER (WHERE c.images > 0 AND c.differences = 0 AND c.moc && coalesce(p.before, ''{}'')) AS missed,
    count(*) FILTER (WHERE c.images > 0 AND c.differences = 0 AND NOT c.moc && coalesce(p.before, ''{}'') AND c.moc && coalesce(p.now, ''{}'')) AS late
  FROM covered c LEFT JOIN templates p ON p.band = c.band
  GROUP BY c.instrument, c.visit, c.band
), measured AS (
  SELECT v.*, tapdb.moc_area(v.moc) AS area, tapdb.moc_area(v.moc * coalesce(p.before, ''{}'')) AS was, tapdb.moc_area(v.moc * coalesce(p.now, ''{}'')) AS is_now
  FROM visits v LEFT JOIN templates p ON p.band = v.band
)
SELECT m.instrument, m.visit, m.band, m.t_min, m.images, m.differences, m.area, m.was / nullif(m.area, 0), m.is_now / nullif(m.area, 0),
  CASE WHEN m.images > 0 AND m.differences >= m.images THEN NULL
    WHEN m.images = 0 AND m.differences = 0 THEN ''no image''
    WHEN m.images = 0 THEN NULL
    WHEN m.area = 0 THEN ''no region''
    WHEN m.missed > 0 THEN ''not made: '' || m.missed || '' of '' || m.images || '' images had a template''
    WHEN m.late > 0 THEN ''template came later: '' || m.late || '' of '' || m.images || '' images''
    ELSE ''no template: '' || m.images - m.differences || '' of '' || m.images || '' images'' END
FROM measured m ORDER BY m.t_min, m.visit',
    format(it.observed, format('tapdb.%I', base || '_observation')), base || '_dataset', it.regions)
  USING base, night, it.images, it.differences, it.regions;
END
$$;
ALTER FUNCTION tapdb.visit_templates(text, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.visit_templates(text, integer) IS 'Visits of a night: whether templates covered them, whether there are difference images, and why not.';
REVOKE ALL ON FUNCTION tapdb.visit_templates(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.visit_templates(text, integer) TO tapdb_reader;
