-- Datasets that touch a circle on the sky
-- :ra_deg, :dec_deg, :radius_deg  ICRS, degrees
SELECT dataproduct_subtype, obs_id, lsst_band AS band, s_ra, s_dec, t_min
FROM ivoa.obscore
WHERE pgs_region && scircle(spoint(radians(:ra_deg), radians(:dec_deg)), radians(:radius_deg))
ORDER BY t_min NULLS LAST, obs_id, calib_level;
