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
REVOKE ALL ON TABLE tapdb.coverage_growth FROM PUBLIC;
