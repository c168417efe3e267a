-- Sky that has templates, by the night in which they came: what came then, and all until then.
-- requires: views/tapdb.coverage_growth
-- drop
DROP VIEW IF EXISTS tapdb.template_coverage;
-- create
CREATE VIEW tapdb.template_coverage AS
SELECT g.obscore_table, g.dataset_type, g.band, g.day_obs, g.dataset_count, g.total_count, g.covered_area, g.new_area, g.total_area, g.moc, g.moc_ranges
FROM tapdb.coverage_growth g WHERE g.stage = 'template';
ALTER VIEW tapdb.template_coverage OWNER TO tapdb_owner;
COMMENT ON VIEW tapdb.template_coverage IS 'Sky that has templates, by the night in which they came.';
COMMENT ON COLUMN tapdb.template_coverage.obscore_table IS 'ObsCore table whose datasets are counted.';
COMMENT ON COLUMN tapdb.template_coverage.dataset_type IS 'Butler dataset type.';
COMMENT ON COLUMN tapdb.template_coverage.band IS 'Band.';
COMMENT ON COLUMN tapdb.template_coverage.day_obs IS 'Observing day, YYYYMMDD; of products without a time that in which they came.';
COMMENT ON COLUMN tapdb.template_coverage.dataset_count IS 'How many datasets there are.';
COMMENT ON COLUMN tapdb.template_coverage.total_count IS 'How many datasets there are of this night and of all before it.';
COMMENT ON COLUMN tapdb.template_coverage.covered_area IS 'Area of the sky that they cover, square degrees.';
COMMENT ON COLUMN tapdb.template_coverage.new_area IS 'Area that no night before has covered, square degrees.';
COMMENT ON COLUMN tapdb.template_coverage.total_area IS 'Area that this night and all before it cover, square degrees.';
COMMENT ON COLUMN tapdb.template_coverage.moc IS 'Sky that is covered: a MOC of order 11 in ASCII form.';
COMMENT ON COLUMN tapdb.template_coverage.moc_ranges IS 'The same as ranges of cells of order 29, NESTED.';
REVOKE ALL ON TABLE tapdb.template_coverage FROM PUBLIC;
