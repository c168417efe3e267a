-- sha256 d5bf638028a8a3f3dc94ddb01bda9b4723da283528faed4f37f12095592cf3fb
-- What is known of datasets that the caller's role may see in an ObsCore view: identifier, repository, data ID, RUN, files. Others are left out.
-- Views are looked at by the rights of the role that is set, not of the owner of this function: what a view does not show stays unknown. Where
-- there is a view of what is released, that one counts, which shows the rest to roles that may see it (tapdb.release_instant).
-- repository: its label as the identifier has it, percent-encoded.
-- files: objects with path, component, size, checksum, type, and embargoed if the dataset is not released yet; those of the dataset that has
-- replaced it (replaced); one with absent and no path, where the view says what has become of the files (purged, virtual); empty for a dataset whose files were deleted, or that never had any.
-- Tables of files are those of the registry, among the ones that the view may read, that have a path and a size for each dataset.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, tables/tapdb.view_definition, functions/tapdb.media_type, functions/tapdb.release_instant
-- drop
DROP FUNCTION IF EXISTS tapdb.published_datasets(uuid[]);
-- create
CREATE FUNCTION tapdb.published_datasets(datasets uuid[]) RETURNS TABLE (
  dataset uuid, did text, repository text, access_format text, dataproduct_type text, dataset_type text, data_id jsonb, run text, files jsonb,
  view_schema text, view_name text, registry_schema text, tags_table text
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  caller CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
  -- Butler has no NULL where a component has no name.
  whole CONSTANT text := '__NULL_STRING__';
  wanted uuid[] := datasets;
  here uuid[];
  shown jsonb;
  view record;
  tags record;
  stored text;
  collection_key text;
  run_key text;
  tags_key text;
BEGIN
  FOR view IN
    SELECT coalesce(v.fingerprint #>> '{released,schema}', v.view_schema) AS view_schema, coalesce(v.fingerprint #>> '{released,name}', v.view_name) AS view_name,
      v.registry_schema, v.fingerprint -> 'objects' -> 'granted' AS granted,
      CASE WHEN v.fingerprint ? 'released' THEN 'coalesce(v.obs_release_date, ''infinity'') > timezone(''UTC'', now())' ELSE 'false' END AS embargoed,
      CASE WHEN v.fingerprint ? 'presence' THEN 'v.presence, v.replaced_by' ELSE 'NULL, NULL' END AS presence
    FROM tapdb.view_definition v
    JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', coalesce(v.fingerprint #>> '{released,schema}', v.view_schema),
      coalesce(v.fingerprint #>> '{released,name}', v.view_name)))
    WHERE v.stage = 'published' AND has_schema_privilege(caller, c.relnamespace, 'USAGE') AND has_table_privilege(caller, c.oid, 'SELECT')
    ORDER BY c.relnamespace::regnamespace::text <> 'ivoa', c.relnamespace::regnamespace::text, c.relname
  LOOP
    EXIT WHEN cardinality(wanted) = 0;
    EXECUTE format('SELECT array_agg(v.registry_dataset_id), jsonb_object_agg(v.registry_dataset_id, '
      'jsonb_build_array(v.obs_publisher_did, v.access_format, v.dataproduct_type, nullif(%s, false), %s)) FROM %I.%I v WHERE v.registry_dataset_id = ANY ($1)',
      view.embargoed, view.presence, view.view_schema, view.view_name) INTO here, shown USING wanted;
    CONTINUE WHEN here IS NULL;
    wanted := ARRAY(SELECT w FROM unnest(wanted) w WHERE w <> ALL (here));
    SELECT max(a.attname) FILTER (WHERE c.relname = 'dataset' AND a.attname IN ('run_id', 'run_name')),
      CASE WHEN bool_or(c.relname = 'collection' AND a.attname = 'collection_id') THEN 'collection_id' ELSE 'name' END,
      CASE WHEN bool_or(c.relname = 'collection' AND a.attname = 'collection_id') THEN 'collection_id' ELSE 'collection_name' END
    INTO run_key, collection_key, tags_key
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = to_regnamespace(quote_ident(view.registry_schema)) AND c.relname IN ('dataset', 'collection');
    SELECT string_agg(format('SELECT f.path, f.component, f.file_size, f.checksum FROM %I.%I f WHERE f.dataset_id = coalesce(($1 -> d.id::text ->> 5)::uuid, d.id)',
      view.registry_schema, c.relname), ' UNION ALL ' ORDER BY c.relname)
    INTO stored
    FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(quote_ident(view.registry_schema)) AND view.granted ? c.relname AND 5 = (
      SELECT count(*) FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attname IN ('dataset_id', 'path', 'component', 'file_size', 'checksum') AND NOT a.attisdropped
    );
    FOR tags IN EXECUTE format(
      'SELECT k.tag_association_table AS name, array_agg(d.id) AS datasets FROM %1$I.dataset d '
      'JOIN %1$I.dataset_type k ON k.id = d.dataset_type_id WHERE d.id = ANY ($1) GROUP BY k.tag_association_table',
      view.registry_schema) USING here
    LOOP
      RETURN QUERY EXECUTE format(
        'SELECT d.id, $1 -> d.id::text ->> 0, coalesce(substring($1 -> d.id::text ->> 0 FROM ''[?&]repo=([^&#]+)''), substring($1 -> d.id::text ->> 0 FROM ''^butler://([^/]+)'')), $1 -> d.id::text ->> 1, $1 -> d.id::text ->> 2, k.name::text, '
        'to_jsonb(t) - ''{dataset_id,dataset_type_id,collection_id,collection_name}''::text[], r.name::text, '
        '(SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(''path'', f.path, ''component'', nullif(f.component, $3), '
        '''size'', nullif(f.file_size, -1), ''checksum'', f.checksum, ''embargoed'', $1 -> d.id::text -> 3, ''replaced'', $1 -> d.id::text -> 5, ''type'', tapdb.media_type(f.path, $1 -> d.id::text ->> 1))) ORDER BY nullif(f.component, $3) NULLS FIRST, f.path), '
        'CASE WHEN $1 -> d.id::text ->> 4 IS NULL THEN ''[]'' ELSE jsonb_build_array(jsonb_build_object(''absent'', $1 -> d.id::text -> 4)) END) '
        'FROM (%1$s) AS f), $4, $5, %2$L, %3$L '
        'FROM %2$I.dataset d JOIN %2$I.dataset_type k ON k.id = d.dataset_type_id '
        'JOIN %2$I.collection r ON r.%4$I = d.%5$I JOIN %2$I.%3$I t ON t.dataset_id = d.id AND t.%6$I = d.%5$I WHERE d.id = ANY ($2)',
        coalesce(stored, 'SELECT NULL::text AS path, NULL::text AS component, NULL::bigint AS file_size, NULL::text AS checksum LIMIT 0'),
        view.registry_schema, tags.name, collection_key, run_key, tags_key)
      USING shown, tags.datasets, whole, view.view_schema, view.view_name;
    END LOOP;
  END LOOP;
END
$$;
ALTER FUNCTION tapdb.published_datasets(uuid[]) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.published_datasets(uuid[]) IS 'Identifier, data ID, RUN and files of datasets that the role may see in an ObsCore view.';
REVOKE ALL ON FUNCTION tapdb.published_datasets(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.published_datasets(uuid[]) TO tapdb_reader;
