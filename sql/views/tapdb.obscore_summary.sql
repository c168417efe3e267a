-- What values a search can ask for, with how much there is of each: equal at all times to GROUP BY over the view, and as fast as its few rows.
-- requires: tables/tapdb.coverage_total, tables/tapdb.coverage_view, tables/tapdb.view_definition, tables/tapdb.dataset_type_mapping
-- requires: functions/tapdb.coverage_total_changes, functions/tapdb.moc_area
-- drop
DROP VIEW IF EXISTS tapdb.obscore_summary;
-- create
CREATE VIEW tapdb.obscore_summary AS
WITH now AS MATERIALIZED (
  SELECT * FROM tapdb.coverage_total_changes(NULL)
)
SELECT s.obscore_table, s.obs_collection, s.instrument_name, s.dataproduct_type, s.dataproduct_subtype, s.calib_level, s.em_filter_name,
  sum(s.datasets)::bigint AS dataset_count, min(s.t_min) AS t_min, max(s.t_max) AS t_max,
  CASE WHEN bool_and(s.is_alone) THEN min(s.area) ELSE tapdb.moc_area(range_agg(CASE WHEN NOT s.is_alone THEN s.moc END)) END AS covered_area
FROM (
  SELECT v.view_schema || '.' || v.view_name AS obscore_table, m.obs_collection, g.instrument AS instrument_name, m.dataproduct_type,
    m.dataproduct_subtype, m.calib_level::integer AS calib_level, g.band AS em_filter_name, g.datasets, g.t_min, g.t_max, g.area, g.moc,
    count(*) OVER (PARTITION BY v.kept, m.obs_collection, g.instrument, m.dataproduct_type, m.dataproduct_subtype, m.calib_level, g.band) = 1 AS is_alone
  FROM (
    SELECT f.kept, f.type, f.instrument, f.band, f.datasets, f.t_min, f.t_max, f.area, f.moc
    FROM tapdb.coverage_total f WHERE NOT EXISTS (SELECT FROM now n WHERE n.id = f.id)
    UNION ALL
    SELECT n.kept, n.type, n.instrument, n.band, n.datasets, n.t_min, n.t_max, tapdb.moc_area(n.moc), n.moc FROM now n WHERE n.datasets > 0
  ) g
  JOIN tapdb.coverage_view v ON v.kept = g.kept AND v.filled_at IS NOT NULL
  JOIN tapdb.view_definition p ON p.view_schema = v.view_schema AND p.view_name = v.view_name AND p.kept = v.kept AND p.stage = 'published'
  JOIN tapdb.dataset_type_mapping m ON m.view_schema = v.view_schema AND m.view_name = v.view_name AND m.kept = v.kept AND m.number = g.type
) s
GROUP BY s.obscore_table, s.obs_collection, s.instrument_name, s.dataproduct_type, s.dataproduct_subtype, s.calib_level, s.em_filter_name;
ALTER VIEW tapdb.obscore_summary OWNER TO tapdb_owner;
COMMENT ON VIEW tapdb.obscore_summary IS 'Values that a search can ask for, with counts, times and area: for lists to choose from.';
COMMENT ON COLUMN tapdb.obscore_summary.obscore_table IS 'ObsCore table whose datasets are counted.';
COMMENT ON COLUMN tapdb.obscore_summary.obs_collection IS 'Name of the data collection.';
COMMENT ON COLUMN tapdb.obscore_summary.instrument_name IS 'Instrument.';
COMMENT ON COLUMN tapdb.obscore_summary.dataproduct_type IS 'Primary type of the data product.';
COMMENT ON COLUMN tapdb.obscore_summary.dataproduct_subtype IS 'Specific type of the data product.';
COMMENT ON COLUMN tapdb.obscore_summary.calib_level IS 'Calibration level.';
COMMENT ON COLUMN tapdb.obscore_summary.em_filter_name IS 'Band.';
COMMENT ON COLUMN tapdb.obscore_summary.dataset_count IS 'How many datasets there are.';
COMMENT ON COLUMN tapdb.obscore_summary.t_min IS 'Start of the first observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.obscore_summary.t_max IS 'End of the last observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.obscore_summary.covered_area IS 'Area of the sky that they cover, square degrees.';
REVOKE ALL ON TABLE tapdb.obscore_summary FROM PUBLIC;
