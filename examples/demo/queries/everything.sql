-- All datasets that lie somewhere
SELECT * FROM ivoa.obscore WHERE s_region IS NOT NULL ORDER BY calib_level, obs_id, dataproduct_subtype;
