-- sha256 7c89d8206240a35288199f584ee78c3098be72626cbb51dd86490f575315db93
-- Links of datasets for tapdb.links: the files of what they were made of (#progenitor), as the loaded graphs say.
-- Only what the caller's role may see in an ObsCore view is linked: what an embargo hides stays unknown.
-- requires: schemas/tapdb, roles/tapdb_reader, tables/tapdb.provenance_edge, tables/tapdb.provenance_quantum, tables/tapdb.provenance_run, functions/tapdb.published_datasets
-- drop
DROP FUNCTION IF EXISTS tapdb.link_progenitors(jsonb);
-- create
CREATE FUNCTION tapdb.link_progenitors(targets jsonb) RETURNS TABLE (
  number integer, access_url text, service_def text, error_message text, semantics text, description text,
  content_type text, content_length bigint, content_qualifier text, local_semantics text
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH pair AS MATERIALIZED (
    SELECT DISTINCT (t ->> 'number')::integer AS number, r.dataset, q.task
    FROM jsonb_array_elements(targets) t
    JOIN tapdb.provenance_edge w ON w.dataset = (t ->> 'dataset')::uuid AND NOT w.is_read
    JOIN tapdb.provenance_quantum q ON q.quantum = w.quantum
    JOIN tapdb.provenance_run u ON u.run = q.run AND u.is_public
    JOIN tapdb.provenance_edge r ON r.quantum = w.quantum AND r.is_read
    WHERE t ->> 'kind' = 'dataset'
  ), known AS MATERIALIZED (
    SELECT p.* FROM tapdb.published_datasets(ARRAY(SELECT DISTINCT pair.dataset FROM pair)) p
  )
  SELECT p.number,
    '/files/' || coalesce(k.repository, '') || '/' || k.dataset || coalesce('?component=' || (f.file ->> 'component'), ''),
    NULL::text, NULL::text, '#progenitor',
    concat_ws('; ', k.dataset_type || coalesce(', component ' || (f.file ->> 'component'), ''),
      (SELECT string_agg(d.key || ' ' || d.value, ', ' ORDER BY d.key) FROM jsonb_each_text(k.data_id) d),
      'run ' || k.run, 'read by ' || p.task),
    f.file ->> 'type', (f.file ->> 'size')::bigint, CASE WHEN k.dataproduct_type = 'image' THEN '#image' END, k.dataset_type
  FROM pair p JOIN known k USING (dataset) CROSS JOIN LATERAL jsonb_array_elements(k.files) AS f (file)
  ORDER BY p.number, k.dataset_type, k.run, k.dataset, f.file ->> 'component'
$$;
ALTER FUNCTION tapdb.link_progenitors(jsonb) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.link_progenitors(jsonb) IS 'Links of datasets for tapdb.links: the files of what they were made of.';
REVOKE ALL ON FUNCTION tapdb.link_progenitors(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.link_progenitors(jsonb) TO tapdb_reader;
