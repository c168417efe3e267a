-- Where a dataset lies on the sky
-- :dataset_id  its UUID
SELECT obs_id, s_ra, s_dec, s_region
FROM ivoa.obscore
WHERE registry_dataset_id = :dataset_id;
