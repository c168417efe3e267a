-- How the covered sky has grown: of each night, what it has added to all nights before it, and what is covered since.
-- What is covered is the rest of what no night so far has covered: PostgreSQL adds night by night to an intersection, and sorts all ranges
-- again for a union.
-- requires: views/tapdb.coverage
-- drop
DROP VIEW IF EXISTS tapdb.coverage_growth;
-- create
CREATE VIEW tapdb.coverage_growth AS
SELECT g.obscore_table, g.dataset_type, g.instrument_name, g.band, g.day_obs, g.dataset_count, g.total_count, g.covered_area,
  tapdb.moc_area(g.total_ranges) - lag(tapdb.moc_area(g.total_ranges), 1, 0::double precision) OVER n AS new_area,
  tapdb.moc_area(g.total_ranges) AS total_area, tapdb.moc_text(tapdb.moc_smoc(g.total_ranges, 11)) AS moc, g.total_ranges AS moc_ranges, g.stage
FROM (
  SELECT c.*, (sum(c.dataset_count) OVER w)::bigint AS total_count,
    int8multirange(int8range(0, 12 * (1::bigint << 58)))
      - range_intersect_agg(int8multirange(int8range(0, 12 * (1::bigint << 58))) - c.moc_ranges) OVER w AS total_ranges
  FROM tapdb.coverage c
  WINDOW w AS (PARTITION BY c.obscore_table, c.dataset_type, c.instrument_name, c.band ORDER BY c.day_obs)
) g
WINDOW n AS (PARTITION BY g.obscore_table, g.dataset_type, g.instrument_name, g.band ORDER BY g.day_obs);
ALTER VIEW tapdb.coverage_growth OWNER TO tapdb_owner;
COMMENT ON VIEW tapdb.coverage_growth IS 'How the covered sky has grown, night by night.';
COMMENT ON COLUMN tapdb.coverage_growth.obscore_table IS 'ObsCore table whose datasets are counted.';
COMMENT ON COLUMN tapdb.coverage_growth.dataset_type IS 'Butler dataset type.';
COMMENT ON COLUMN tapdb.coverage_growth.instrument_name IS 'Instrument.';
COMMENT ON COLUMN tapdb.coverage_growth.band IS 'Band.';
COMMENT ON COLUMN tapdb.coverage_growth.day_obs IS 'Observing day, YYYYMMDD; of products without a time that in which they came.';
COMMENT ON COLUMN tapdb.coverage_growth.dataset_count IS 'How many datasets there are.';
COMMENT ON COLUMN tapdb.coverage_growth.total_count IS 'How many datasets there are of this night and of all before it.';
COMMENT ON COLUMN tapdb.coverage_growth.covered_area IS 'Area of the sky that they cover, square degrees.';
COMMENT ON COLUMN tapdb.coverage_growth.new_area IS 'Area that no night before has covered, square degrees.';
COMMENT ON COLUMN tapdb.coverage_growth.total_area IS 'Area that this night and all before it cover, square degrees.';
COMMENT ON COLUMN tapdb.coverage_growth.moc IS 'Sky that is covered: a MOC of order 11 in ASCII form.';
COMMENT ON COLUMN tapdb.coverage_growth.moc_ranges IS 'The same as ranges of cells of order 29, NESTED.';
COMMENT ON COLUMN tapdb.coverage_growth.stage IS 'What the dataset type is for difference images: image, difference or template.';
REVOKE ALL ON TABLE tapdb.coverage_growth FROM PUBLIC;
