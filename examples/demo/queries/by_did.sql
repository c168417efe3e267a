-- The dataset that its publisher calls by an identifier
-- :did
SELECT obs_publisher_did, registry_dataset_id, obs_title, access_estsize, access_url
FROM ivoa.obscore
WHERE obs_publisher_did = :did;
