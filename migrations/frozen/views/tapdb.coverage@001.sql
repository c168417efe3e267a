-- sha256 bca73a2c385f71c51133c1fe21e094141fb87b3625f57f6f37eaf0672411df58
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
REVOKE ALL ON TABLE tapdb.coverage FROM PUBLIC;
