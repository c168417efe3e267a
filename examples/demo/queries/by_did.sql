-- The dataset with a publisher's identifier: :did.
SELECT obs_publisher_did, registry_dataset_id, obs_title, access_estsize
FROM ivoa.obscore
WHERE obs_publisher_did = :did;
