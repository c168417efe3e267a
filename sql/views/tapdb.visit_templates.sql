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
COMMENT ON COLUMN tapdb.visit_templates.obscore_table IS 'ObsCore table whose datasets are counted.';
COMMENT ON COLUMN tapdb.visit_templates.instrument_name IS 'Instrument.';
COMMENT ON COLUMN tapdb.visit_templates.day_obs IS 'Observing day, YYYYMMDD; of products without a time that in which they came.';
COMMENT ON COLUMN tapdb.visit_templates.visit IS 'Visit.';
COMMENT ON COLUMN tapdb.visit_templates.band IS 'Band.';
COMMENT ON COLUMN tapdb.visit_templates.t_min IS 'Start of the first observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.visit_templates.image_count IS 'Detectors with an image.';
COMMENT ON COLUMN tapdb.visit_templates.difference_count IS 'Detectors with a difference image.';
COMMENT ON COLUMN tapdb.visit_templates.covered_area IS 'Area of the sky that they cover, square degrees.';
COMMENT ON COLUMN tapdb.visit_templates.template_fraction IS 'Part of the area that had templates of the band by the end of the night.';
COMMENT ON COLUMN tapdb.visit_templates.template_fraction_now IS 'Part of the area that has templates of the band now.';
COMMENT ON COLUMN tapdb.visit_templates.reason IS 'Why there are fewer difference images than images; NULL if there are not.';
REVOKE ALL ON TABLE tapdb.visit_templates FROM PUBLIC;
