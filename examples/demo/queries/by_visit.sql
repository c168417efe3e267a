-- What there is of a visit
-- :visit
SELECT dataproduct_subtype, count(*) AS datasets, count(s_region) AS with_region, min(t_min) AS t_min
FROM ivoa.obscore
WHERE lsst_visit = :visit
GROUP BY dataproduct_subtype
ORDER BY dataproduct_subtype;
