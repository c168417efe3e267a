-- sha256 39b9dfd4bdec2bfb7ac438254b95095fbe339de795f52175715a48ba16a6514d
-- What identifiers of Butler datasets mean, for tapdb.links: what is known of the dataset, or that there is none. Others are left out.
-- requires: functions/tapdb.dataset_uuid, functions/tapdb.published_datasets
-- drop
DROP FUNCTION IF EXISTS tapdb.identify_datasets(text[]);
-- create
CREATE FUNCTION tapdb.identify_datasets(dids text[]) RETURNS TABLE (number integer, target jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH given AS MATERIALIZED (
    SELECT g.number::integer AS number, tapdb.dataset_uuid(g.did) AS dataset FROM unnest(dids) WITH ORDINALITY AS g (did, number)
  ), known AS MATERIALIZED (
    SELECT p.* FROM tapdb.published_datasets(ARRAY(SELECT DISTINCT g.dataset FROM given g WHERE g.dataset IS NOT NULL)) p
  )
  SELECT g.number, CASE WHEN k.dataset IS NULL THEN jsonb_build_object('error', 'NotFoundFault: no published dataset has this identifier')
    ELSE to_jsonb(k) || '{"kind": "dataset"}' END
  FROM given g LEFT JOIN known k USING (dataset)
  WHERE g.dataset IS NOT NULL;
$$;
ALTER FUNCTION tapdb.identify_datasets(text[]) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.identify_datasets(text[]) IS 'What identifiers of Butler datasets mean, by their numbers in the array; other identifiers are left out.';
REVOKE ALL ON FUNCTION tapdb.identify_datasets(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.identify_datasets(text[]) TO tapdb_reader;
