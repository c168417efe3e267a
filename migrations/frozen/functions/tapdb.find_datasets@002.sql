-- sha256 b4406c427fe38436f4b96eff75e4278ef8cc4a1e93e21886bbedb0f35adcf48b
-- Datasets by their data IDs: dataset type, values of its dimensions, and RUN if it is given. One row for each dataset, and before them one
-- with the dimensions of the dataset type.
-- wanted: array of objects with dataset_type, data_id and run; number counts them from 1. No object raises an error: one whose dataset type
-- no published view has is left out, and one with other dimensions has no dataset.
-- Views count that the caller's role may read, and of their datasets those that tapdb.published_datasets shows to it.
-- requires: tables/tapdb.view_definition, tables/tapdb.dataset_type_mapping, functions/tapdb.published_datasets
-- drop
DROP FUNCTION IF EXISTS tapdb.find_datasets(jsonb);
-- create
CREATE FUNCTION tapdb.find_datasets(wanted jsonb) RETURNS TABLE (
  number integer, dimensions text[], dataset uuid, did text, dataset_type text, run text, data_id jsonb
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  caller CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
  one record;
  place record;
  tags record;
  shape record;
  keys record;
  here uuid[];
  numbers integer[] := '{}';
  datasets uuid[] := '{}';
BEGIN
  FOR one IN
    SELECT w.number::integer AS number, w.value ->> 'dataset_type' AS dataset_type, w.value -> 'data_id' AS data_id, w.value ->> 'run' AS run
    FROM jsonb_array_elements(wanted) WITH ORDINALITY AS w (value, number)
  LOOP
    FOR place IN
      SELECT DISTINCT v.registry_schema AS name
      FROM tapdb.view_definition v JOIN tapdb.dataset_type_mapping m USING (view_schema, view_name, kept)
      JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', coalesce(v.fingerprint #>> '{released,schema}', v.view_schema),
        coalesce(v.fingerprint #>> '{released,name}', v.view_name)))
      WHERE v.stage = 'published' AND m.registered AND m.dataset_type = one.dataset_type
        AND has_schema_privilege(caller, c.relnamespace, 'USAGE') AND has_table_privilege(caller, c.oid, 'SELECT')
      ORDER BY v.registry_schema
    LOOP
      EXECUTE format('SELECT k.id, k.tag_association_table AS name FROM %I.dataset_type k WHERE k.name = $1', place.name)
      INTO tags USING one.dataset_type;
      CONTINUE WHEN tags.id IS NULL;
      -- A value is compared as it is: a cast to the length of the column would cut one that is longer.
      SELECT array_agg(a.attname::text ORDER BY a.attnum) AS names,
        string_agg(format('t.%1$I = ($1 ->> %1$L)::%2$s', a.attname, format_type(a.atttypid, -1)), ' AND ') AS is_same
      INTO shape
      FROM pg_attribute a
      WHERE a.attrelid = to_regclass(format('%I.%I', place.name, tags.name)) AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attname NOT IN ('dataset_type_id', 'dataset_id', 'collection_id', 'collection_name');
      number := one.number;
      dimensions := coalesce(shape.names, '{}');
      RETURN NEXT;
      CONTINUE WHEN jsonb_typeof(one.data_id) IS DISTINCT FROM 'object';
      CONTINUE WHEN ARRAY(SELECT k FROM jsonb_object_keys(one.data_id) k ORDER BY k) <> ARRAY(SELECT d FROM unnest(dimensions) d ORDER BY d);
      SELECT CASE WHEN a.attname IS NULL THEN 'name' ELSE 'collection_id' END AS collection,
        CASE WHEN a.attname IS NULL THEN 'collection_name' ELSE 'collection_id' END AS tags,
        CASE WHEN a.attname IS NULL THEN 'run_name' ELSE 'run_id' END AS run
      INTO keys
      FROM (VALUES (to_regclass(format('%I.collection', place.name)))) AS c (relation)
      LEFT JOIN pg_attribute a ON a.attrelid = c.relation AND a.attname = 'collection_id' AND NOT a.attisdropped;
      BEGIN
        EXECUTE format(
          'SELECT array_agg(t.dataset_id) FROM %1$I.%2$I t JOIN %1$I.dataset d ON d.id = t.dataset_id AND d.%5$I = t.%4$I '
          'JOIN %1$I.collection r ON r.%3$I = d.%5$I WHERE t.dataset_type_id = $2 AND %6$s AND ($3 IS NULL OR r.name = $3)',
          place.name, tags.name, keys.collection, keys.tags, keys.run, coalesce(shape.is_same, 'true'))
        INTO here USING one.data_id, tags.id, one.run;
        numbers := numbers || array_fill(one.number, ARRAY[coalesce(cardinality(here), 0)]);
        datasets := datasets || here;
      EXCEPTION WHEN data_exception THEN
        -- No dataset has a value that is not of its column's type.
        NULL;
      END;
    END LOOP;
  END LOOP;
  -- Two registries may have the same dataset.
  RETURN QUERY
  SELECT f.number, NULL::text[], p.dataset, p.did, p.dataset_type, p.run, p.data_id
  FROM (SELECT DISTINCT u.number, u.dataset FROM unnest(numbers, datasets) AS u (number, dataset)) AS f
  JOIN tapdb.published_datasets(ARRAY(SELECT DISTINCT u.dataset FROM unnest(datasets) AS u (dataset))) p USING (dataset)
  ORDER BY f.number, p.run COLLATE "C", p.dataset;
END
$$;
ALTER FUNCTION tapdb.find_datasets(jsonb) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.find_datasets(jsonb) IS 'Datasets by dataset type, values of dimensions and RUN; of those that the role may see in an ObsCore view.';
REVOKE ALL ON FUNCTION tapdb.find_datasets(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.find_datasets(jsonb) TO tapdb_reader;
