-- sha256 a7859fb64a9527b766a7cde905a766ab5f6ab7f2d7a56560d3916ad2f9144568
-- Visits, and whether templates covered them: see the function of this name. Name nights in a query: each is computed by itself.
-- requires: views/tapdb.coverage, functions/tapdb.visit_templates
-- drop
DROP VIEW IF EXISTS tapdb.visit_templates;
-- create
CREATE VIEW tapdb.visit_templates AS
SELECT g.obscore_table, t.instrument_name, g.day_obs, t.visit, t.band, t.t_min, t.image_count, t.difference_count, t.area AS covered_area, t.template_fraction,
  t.template_fraction_now, t.reason
FROM (
  SELECT c.obscore_table, c.kept, c.day_obs FROM tapdb.coverage c WHERE c.stage IN ('image', 'difference') GROUP BY 1, 2, 3
) g CROSS JOIN LATERAL tapdb.visit_templates(g.kept, g.day_obs) t;
ALTER VIEW tapdb.visit_templates OWNER TO tapdb_owner;
COMMENT ON VIEW tapdb.visit_templates IS 'Visits: whether templates covered them, whether there are difference images, and why not.';
REVOKE ALL ON TABLE tapdb.visit_templates FROM PUBLIC;
