-- Datasets whose footprint holds a point
-- :ra_deg, :dec_deg  ICRS, degrees
SELECT dataproduct_subtype, obs_id, lsst_band AS band, s_ra, s_dec, s_fov
FROM ivoa.obscore
WHERE pgs_region ~ spoint(radians(:ra_deg), radians(:dec_deg))
ORDER BY t_min NULLS LAST, obs_id, calib_level;
