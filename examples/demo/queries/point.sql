-- Images whose footprint holds a point: :ra_deg and :dec_deg, ICRS, degrees.
SELECT dataproduct_subtype, obs_id, lsst_band AS band, s_ra, s_dec, s_fov
FROM ivoa.obscore
WHERE pgs_region ~ spoint(radians(:ra_deg), radians(:dec_deg))
ORDER BY dataproduct_subtype, obs_id;
