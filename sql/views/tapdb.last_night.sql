-- Coverage of the last night of each instrument in which something was observed.
-- requires: views/tapdb.coverage
-- drop
DROP VIEW IF EXISTS tapdb.last_night;
-- create
CREATE VIEW tapdb.last_night AS
SELECT c.* FROM tapdb.coverage c
WHERE c.t_min IS NOT NULL AND NOT EXISTS (
  SELECT FROM tapdb.coverage d
  WHERE d.obscore_table = c.obscore_table AND d.instrument_name = c.instrument_name AND d.t_min IS NOT NULL AND d.day_obs > c.day_obs);
ALTER VIEW tapdb.last_night OWNER TO tapdb_owner;
COMMENT ON VIEW tapdb.last_night IS 'Coverage of the last night of each instrument.';
COMMENT ON COLUMN tapdb.last_night.obscore_table IS 'ObsCore table whose datasets are counted.';
COMMENT ON COLUMN tapdb.last_night.dataset_type IS 'Butler dataset type.';
COMMENT ON COLUMN tapdb.last_night.instrument_name IS 'Instrument.';
COMMENT ON COLUMN tapdb.last_night.band IS 'Band.';
COMMENT ON COLUMN tapdb.last_night.day_obs IS 'Observing day, YYYYMMDD; of products without a time that in which they came.';
COMMENT ON COLUMN tapdb.last_night.dataset_count IS 'How many datasets there are.';
COMMENT ON COLUMN tapdb.last_night.t_min IS 'Start of the first observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.last_night.t_max IS 'End of the last observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.last_night.covered_area IS 'Area of the sky that they cover, square degrees.';
COMMENT ON COLUMN tapdb.last_night.moc IS 'Sky that is covered: a MOC of order 11 in ASCII form.';
COMMENT ON COLUMN tapdb.last_night.moc_ranges IS 'The same as ranges of cells of order 29, NESTED.';
COMMENT ON COLUMN tapdb.last_night.pgs_moc IS 'The same as MOC of pg_sphere.';
COMMENT ON COLUMN tapdb.last_night.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.last_night.stage IS 'What the dataset type is for difference images: image, difference or template.';
REVOKE ALL ON TABLE tapdb.last_night FROM PUBLIC;
