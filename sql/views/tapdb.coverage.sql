-- Coverage of each view, dataset type, instrument, band and night, live: what was folded, less what has changed, and that as it is now.
-- A view whose kept tables are others than those that its coverage is made from has none, until tapdb coverage rebuild.
-- requires: tables/tapdb.coverage_group, tables/tapdb.coverage_view, tables/tapdb.view_definition, tables/tapdb.dataset_type_mapping
-- requires: functions/tapdb.coverage_changes, functions/tapdb.moc_area, functions/tapdb.moc_smoc, functions/tapdb.moc_text
-- drop
DROP VIEW IF EXISTS tapdb.coverage;
-- create
CREATE VIEW tapdb.coverage AS
WITH now AS MATERIALIZED (
  SELECT * FROM tapdb.coverage_changes(NULL)
)
SELECT v.view_schema || '.' || v.view_name AS obscore_table, m.dataset_type, g.instrument AS instrument_name, g.band, g.day_obs,
  g.datasets AS dataset_count, g.t_min, g.t_max, g.area AS covered_area, tapdb.moc_text(g.pgs_moc) AS moc, g.moc AS moc_ranges, g.pgs_moc, v.kept,
  CASE WHEN m.dataset_type = ANY (v.templates) THEN 'template' WHEN m.dataset_type = ANY (v.differences) THEN 'difference'
    WHEN m.dataset_type = ANY (v.images) THEN 'image' END AS stage
FROM (
  SELECT f.kept, f.type, f.instrument, f.band, f.day_obs, f.datasets, f.t_min, f.t_max, f.area, f.moc, f.pgs_moc
  FROM tapdb.coverage_group f WHERE NOT EXISTS (SELECT FROM now n WHERE n.id = f.id)
  UNION ALL
  SELECT n.kept, n.type, n.instrument, n.band, n.day_obs, n.datasets, n.t_min, n.t_max, tapdb.moc_area(n.moc), n.moc, tapdb.moc_smoc(n.moc, 11)
  FROM now n WHERE n.datasets > 0
) g
JOIN tapdb.coverage_view v ON v.kept = g.kept AND v.filled_at IS NOT NULL
JOIN tapdb.view_definition p ON p.view_schema = v.view_schema AND p.view_name = v.view_name AND p.kept = v.kept AND p.stage = 'published'
JOIN tapdb.dataset_type_mapping m ON m.view_schema = v.view_schema AND m.view_name = v.view_name AND m.kept = v.kept AND m.number = g.type;
ALTER VIEW tapdb.coverage OWNER TO tapdb_owner;
COMMENT ON VIEW tapdb.coverage IS 'Sky that images cover: a row for each dataset type, instrument, band and night.';
COMMENT ON COLUMN tapdb.coverage.obscore_table IS 'ObsCore table whose datasets are counted.';
COMMENT ON COLUMN tapdb.coverage.dataset_type IS 'Butler dataset type.';
COMMENT ON COLUMN tapdb.coverage.instrument_name IS 'Instrument.';
COMMENT ON COLUMN tapdb.coverage.band IS 'Band.';
COMMENT ON COLUMN tapdb.coverage.day_obs IS 'Observing day, YYYYMMDD; of products without a time that in which they came.';
COMMENT ON COLUMN tapdb.coverage.dataset_count IS 'How many datasets there are.';
COMMENT ON COLUMN tapdb.coverage.t_min IS 'Start of the first observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.coverage.t_max IS 'End of the last observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.coverage.covered_area IS 'Area of the sky that they cover, square degrees.';
COMMENT ON COLUMN tapdb.coverage.moc IS 'Sky that is covered: a MOC of order 11 in ASCII form.';
COMMENT ON COLUMN tapdb.coverage.moc_ranges IS 'The same as ranges of cells of order 29, NESTED.';
COMMENT ON COLUMN tapdb.coverage.pgs_moc IS 'The same as MOC of pg_sphere.';
COMMENT ON COLUMN tapdb.coverage.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.coverage.stage IS 'What the dataset type is for difference images: image, difference or template.';
REVOKE ALL ON TABLE tapdb.coverage FROM PUBLIC;
