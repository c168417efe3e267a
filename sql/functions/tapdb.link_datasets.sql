-- Links of datasets, and images of catalogue rows, for tapdb.links: the files of a dataset itself, and datasets that belong to it.
-- Datasets with the same data ID are co-derived, not derived from each other: the data ID is no proof of provenance (VEP-005). They count if
-- they are in the same RUN, or their RUNs are in one chain. One that is a picture is a preview. Targets with observations, objects with visit and
-- detector, get the images of these, of any RUN. A link to a file is
-- /files/REPOSITORY/UUID: the service knows where files of a repository lie, and signs the link, unless it has embargoed=true: not released yet.
-- requires: tables/tapdb.view_definition, tables/tapdb.dataset_type_mapping, functions/tapdb.published_datasets
-- drop
DROP FUNCTION IF EXISTS tapdb.link_datasets(jsonb);
-- create
CREATE FUNCTION tapdb.link_datasets(targets jsonb) RETURNS TABLE (
  number integer, access_url text, service_def text, error_message text, semantics text, description text,
  content_type text, content_length bigint, content_qualifier text, local_semantics text
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  registry record;
  tags record;
  shape record;
  keys record;
  more jsonb;
  pairs jsonb := '[]';
  has_images CONSTANT boolean := jsonb_path_exists(targets, '$[*].observations[*]');
BEGIN
  FOR registry IN
    SELECT v.registry_schema AS name, array_agg(DISTINCT m.dataset_type) AS types
    FROM tapdb.view_definition v JOIN tapdb.dataset_type_mapping m USING (view_schema, view_name, kept)
    WHERE v.stage = 'published' AND m.registered GROUP BY v.registry_schema ORDER BY v.registry_schema
  LOOP
    CONTINUE WHEN NOT has_images AND NOT jsonb_path_exists(targets, '$[*] ? (@.registry_schema == $name)', jsonb_build_object('name', registry.name));
    SELECT CASE WHEN a.attname IS NULL THEN 'name' ELSE 'collection_id' END AS collection,
      CASE WHEN a.attname IS NULL THEN 'collection_name' ELSE 'collection_id' END AS tags,
      CASE WHEN a.attname IS NULL THEN 'run_name' ELSE 'run_id' END AS run
    INTO keys
    FROM (VALUES (to_regclass(format('%I.collection', registry.name)))) AS c (relation)
    LEFT JOIN pg_attribute a ON a.attrelid = c.relation AND a.attname = 'collection_id' AND NOT a.attisdropped;
    FOR tags IN EXECUTE format('SELECT k.tag_association_table AS name, array_agg(k.id) AS types FROM %I.dataset_type k '
      'WHERE k.name = ANY ($1) GROUP BY k.tag_association_table', registry.name) USING registry.types
    LOOP
      SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ') AS columns,
        string_agg(format('o.%1$I = w.%1$I', a.attname), ' AND ') AS is_same,
        array_agg(a.attname::text ORDER BY a.attname) = '{detector,instrument,visit}' AS is_image
      INTO shape
      FROM pg_attribute a WHERE a.attrelid = to_regclass(format('%I.%I', registry.name, tags.name)) AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attname NOT IN ('dataset_type_id', 'dataset_id', 'collection_id', 'collection_name');
      IF shape.columns IS NULL THEN CONTINUE; END IF;
      IF jsonb_path_exists(targets, '$[*] ? (@.registry_schema == $name && @.tags_table == $tags)',
        jsonb_build_object('name', registry.name, 'tags', tags.name))
      THEN
        EXECUTE format('SELECT coalesce(jsonb_agg(jsonb_build_array(t -> ''number'', o.dataset_id)), ''[]'') FROM jsonb_array_elements($1) AS t '
          'CROSS JOIN jsonb_to_record(t -> ''data_id'') AS w (%3$s) JOIN %1$I.collection r ON r.name = t ->> ''run'' '
          'CROSS JOIN LATERAL (SELECT r.%5$I AS run UNION SELECT b.child FROM %1$I.collection_chain a '
          'JOIN %1$I.collection_chain b ON b.parent = a.parent WHERE a.child = r.%5$I) AS c '
          'JOIN %1$I.%2$I o ON o.dataset_type_id = ANY ($2) AND o.%6$I = c.run AND %4$s JOIN %1$I.dataset d ON d.id = o.dataset_id AND d.%7$I = c.run '
          'WHERE t ->> ''registry_schema'' = %1$L AND t ->> ''tags_table'' = %2$L AND o.dataset_id <> (t ->> ''dataset'')::uuid',
          registry.name, tags.name, shape.columns, shape.is_same, keys.collection, keys.tags, keys.run) INTO more USING targets, tags.types;
        pairs := pairs || more;
      END IF;
      IF has_images AND shape.is_image THEN
        EXECUTE format('SELECT coalesce(jsonb_agg(jsonb_build_array(t -> ''number'', o.dataset_id)), ''[]'') FROM jsonb_array_elements($1) AS t '
          'CROSS JOIN jsonb_to_recordset(t -> ''observations'') AS w (visit bigint, detector bigint) '
          'JOIN %I.%I o ON o.visit = w.visit AND o.detector = w.detector WHERE o.dataset_type_id = ANY ($2)',
          registry.name, tags.name) INTO more USING targets, tags.types;
        pairs := pairs || more;
      END IF;
    END LOOP;
  END LOOP;
  RETURN QUERY
  WITH target AS MATERIALIZED (
    SELECT (t ->> 'number')::integer AS number, t ->> 'kind' AS kind, t ->> 'dataset' AS dataset, t AS facts FROM jsonb_array_elements(targets) t
  ), beside AS MATERIALIZED (
    SELECT to_jsonb(p) AS facts, p.dataset::text AS dataset, p.dataproduct_type = 'image' AS is_image
    FROM tapdb.published_datasets(ARRAY(SELECT DISTINCT (p ->> 1)::uuid FROM jsonb_array_elements(pairs) p)) p
  ), linked AS (
    SELECT t.number, t.facts, true AS is_itself FROM target t WHERE t.kind = 'dataset'
    UNION ALL
    SELECT t.number, b.facts, false
    FROM (SELECT DISTINCT (p ->> 0)::integer AS number, p ->> 1 AS dataset FROM jsonb_array_elements(pairs) p) AS pair
    JOIN beside b USING (dataset) JOIN target t ON t.number = pair.number AND (t.kind = 'dataset' OR b.is_image)
  ), filed AS (
    -- Of two datastores with the same file one will do.
    SELECT DISTINCT ON (l.number, l.facts ->> 'dataset', f ->> 'component') l.number, l.is_itself, f AS file, l.facts ->> 'dataset' AS dataset,
      l.facts ->> 'repository' AS repository,
      l.facts ->> 'dataset_type' AS dataset_type, l.facts ->> 'dataproduct_type' AS product, l.facts ->> 'run' AS run,
      (SELECT string_agg(d.key || ' ' || d.value, ', ' ORDER BY d.key) FROM jsonb_each_text(l.facts -> 'data_id') d) AS data_id
    FROM linked l LEFT JOIN LATERAL jsonb_array_elements(l.facts -> 'files') f ON true
    ORDER BY l.number, l.facts ->> 'dataset', f ->> 'component'
  )
  SELECT f.number,
    CASE WHEN f.file ? 'path' THEN '/files/' || coalesce(f.repository, '') || '/' || f.dataset
      || CASE WHEN f.file ? 'embargoed' THEN '?embargoed=true' || coalesce('&component=' || (f.file ->> 'component'), '')
        ELSE coalesce('?component=' || (f.file ->> 'component'), '') END END, NULL,
    CASE WHEN f.file ->> 'absent' = 'virtual' THEN 'NotFoundFault: the file of the dataset was deleted; it can be made again'
      WHEN f.file IS NULL OR f.file ? 'absent' THEN 'NotFoundFault: the dataset has no file: it was deleted, or never stored' END,
    CASE WHEN f.is_itself THEN '#this' WHEN f.file ->> 'type' IN ('image/png', 'image/jpeg') THEN '#preview' ELSE '#coderived' END,
    concat_ws('; ', CASE WHEN f.file ? 'replaced' THEN 'lossy-compressed version of a file that was deleted' END, f.dataset_type || coalesce(', component ' || (f.file ->> 'component'), ''), f.data_id, 'run ' || f.run, 'checksum ' || (f.file ->> 'checksum')),
    f.file ->> 'type', (f.file ->> 'size')::bigint, CASE WHEN f.product = 'image' THEN '#image' END, f.dataset_type
  FROM filed f
  WHERE f.is_itself OR f.file ? 'path'
  ORDER BY f.number, f.is_itself DESC, f.dataset_type, f.run, f.dataset, f.file ->> 'component';
END
$$;
ALTER FUNCTION tapdb.link_datasets(jsonb) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.link_datasets(jsonb) IS 'Links of datasets for tapdb.links: their files, datasets with the same data ID, images of catalogue rows.';
REVOKE ALL ON FUNCTION tapdb.link_datasets(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.link_datasets(jsonb) TO tapdb_reader;
