-- Visits observed in a window of time
-- :begin_mjd, :end_mjd  MJD (UTC)
SELECT lsst_visit AS visit, instrument_name, lsst_band AS band, target_name, min(t_min) AS t_min,
       count(DISTINCT lsst_detector) AS detectors
FROM ivoa.obscore
WHERE t_min < :end_mjd AND t_max > :begin_mjd AND dataproduct_subtype = 'lsst.visit_image'
GROUP BY lsst_visit, instrument_name, lsst_band, target_name
ORDER BY t_min;
