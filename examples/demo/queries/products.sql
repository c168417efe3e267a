-- What there is, by kind of product
SELECT dataproduct_subtype, calib_level, count(*) AS datasets, count(s_region) AS with_region,
       min(t_min) AS first_mjd, max(t_max) AS last_mjd, sum(access_estsize) AS kilobytes
FROM ivoa.obscore
GROUP BY dataproduct_subtype, calib_level
ORDER BY calib_level, dataproduct_subtype;
