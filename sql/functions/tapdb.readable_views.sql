-- ObsCore views with all rows that the role that reads may read, by name (schema.name): what is counted of all rows of
-- others, such as coverage, would tell of rows that are not released.
-- requires: tables/tapdb.view_definition, roles/tapdb_reader
-- drop
DROP FUNCTION IF EXISTS tapdb.readable_views();
-- create
CREATE FUNCTION tapdb.readable_views() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT v.view_schema || '.' || v.view_name
  FROM tapdb.view_definition v
  JOIN pg_namespace n ON n.nspname = v.view_schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = v.view_name
  WHERE v.stage = 'published'
    AND has_table_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user)::name, c.oid, 'SELECT')
$$;
ALTER FUNCTION tapdb.readable_views() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.readable_views() IS 'Views all of whose rows the role that reads may see, by name.';
REVOKE ALL ON FUNCTION tapdb.readable_views() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.readable_views() TO tapdb_reader;
