-- sha256 bae1a61f3ffaeeacbd2b1c7242e727af9ec72616fd228173d7cca0afc41e2735
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
REVOKE ALL ON TABLE tapdb.template_coverage FROM PUBLIC;
