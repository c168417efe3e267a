-- Artifacts of CAOM 2.4: what a dataset that can be retrieved consists of; none of one whose files are gone.
SELECT
  o.artifact_uri AS uri,
  CASE WHEN o.dataproduct_type IN ('image', 'cube', 'spectrum', 'sed', 'timeseries', 'visibility', 'event') THEN 'science' ELSE 'auxiliary' END AS producttype,
  'data'::text AS releasetype,
  CASE WHEN o.access_format NOT LIKE '%content=datalink%' THEN o.access_format END AS contenttype,
  o.access_estsize * 1000 AS contentlength,
  NULL::text AS contentchecksum,
  o.obs_release_date AS contentrelease,
  NULL::text AS contentreadgroups,
  o.obs_release_date AS metarelease,
  o.obsid,
  o.planeid,
  md5(o.artifact_uri)::uuid AS artifactid,
  o.obs_creation_date AS lastmodified,
  o.obs_creation_date AS maxlastmodified,
  NULL::text AS metachecksum,
  NULL::text AS accmetachecksum,
  NULL::text AS metaproducer
FROM tapdb.caom2_source() AS o
WHERE o.access_url IS NOT NULL
