-- Links to rows of a PPDB, for tapdb.links: as queries of TAP, at a path of the service. A row has itself, and its sources; an image of a visit
-- and detector has the sources that were detected on images of these.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, functions/tapdb.published_tables
-- drop
DROP FUNCTION IF EXISTS tapdb.link_catalogue_rows(jsonb);
-- create
CREATE FUNCTION tapdb.link_catalogue_rows(targets jsonb) RETURNS TABLE (
  number integer, access_url text, service_def text, error_message text, semantics text, description text,
  content_type text, content_length bigint, content_qualifier text, local_semantics text
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH target AS MATERIALIZED (
    SELECT (t ->> 'number')::integer AS number, t ->> 'kind' AS kind, t AS facts FROM jsonb_array_elements(targets) t
  ), catalogue AS MATERIALIZED (
    SELECT p.table_name, lower(replace(split_part(p.table_name, '.', 1), '"', '')) AS schema,
      lower(replace(split_part(p.table_name, '.', 2), '"', '')) AS name, array_agg(lower(a.attname)) AS columns
    FROM tapdb.published_tables() p JOIN pg_attribute a ON a.attrelid = p.relation AND a.attnum > 0 AND NOT a.attisdropped
    WHERE lower(replace(split_part(p.table_name, '.', 2), '"', '')) IN ('diasource', 'diaforcedsource')
      AND lower(replace(split_part(p.table_name, '.', 1), '"', '')) <> 'ppdb_history'
    GROUP BY p.table_name
  ), query AS (
    SELECT t.number, 0 AS place, '#this' AS semantics, 'Row of ' || (t.facts ->> 'table') AS description, t.facts ->> 'table' AS table_name,
      format('%s = %s', t.facts ->> 'column', t.facts ->> 'key') AS condition
    FROM target t WHERE t.kind = 'row'
    UNION ALL
    SELECT t.number, 1, CASE c.name WHEN 'diasource' THEN '#coderived' ELSE '#derivation' END, 'Rows of ' || c.table_name || ' that belong to it',
      c.table_name, format('%s = %s', t.facts ->> 'column', t.facts ->> 'key')
    FROM target t JOIN catalogue c ON t.facts ->> 'table' <> c.table_name AND lower(t.facts ->> 'column') = ANY (c.columns)
      AND c.schema = lower(replace(split_part(t.facts ->> 'table', '.', 1), '"', ''))
    WHERE t.kind = 'row'
    UNION ALL
    SELECT t.number, 2, '#derivation', format('Rows of %s of visit %s and detector %s', c.table_name, t.facts #>> '{data_id,visit}', t.facts #>> '{data_id,detector}'),
      c.table_name, format('visit = %s AND detector = %s', t.facts #>> '{data_id,visit}', t.facts #>> '{data_id,detector}')
    FROM target t JOIN catalogue c ON c.columns @> '{visit,detector}'::text[]
    WHERE t.kind = 'dataset' AND t.facts ->> 'dataproduct_type' = 'image' AND t.facts -> 'data_id' ?& '{visit,detector}'::text[]
  )
  SELECT q.number, '/tap/sync?REQUEST=doQuery&LANG=ADQL&QUERY='
      || replace(replace(replace(format('SELECT * FROM %s WHERE %s', q.table_name, q.condition), '"', '%22'), '=', '%3D'), ' ', '+'),
    NULL::text, NULL::text, q.semantics, q.description, 'application/x-votable+xml', NULL::bigint, NULL::text, q.table_name
  FROM query q ORDER BY q.number, q.place, q.table_name;
$$;
ALTER FUNCTION tapdb.link_catalogue_rows(jsonb) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.link_catalogue_rows(jsonb) IS 'Links to rows of a PPDB for tapdb.links, as queries of TAP.';
REVOKE ALL ON FUNCTION tapdb.link_catalogue_rows(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.link_catalogue_rows(jsonb) TO tapdb_reader;
