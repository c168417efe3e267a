-- sha256 63261923850a79feda52274affd4ea410e8e179d5721ddd127caff24b44c742b
-- Views of which the role that reads sees only what is released, with the view in schema tapdb of the same rows that is a barrier: no expression
-- of a query is evaluated there on a row that the role may not see. Services take it for queries that could fail on such a row, or say so.
-- requires: tables/tapdb.view_definition
-- drop
DROP FUNCTION IF EXISTS tapdb.guarded_views();
-- create
CREATE FUNCTION tapdb.guarded_views() RETURNS TABLE (view_schema text, view_name text, guarded text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT v.fingerprint #>> '{released,schema}', v.fingerprint #>> '{released,name}', v.fingerprint #>> '{released,guarded}'
  FROM tapdb.view_definition v
  JOIN pg_namespace n ON n.nspname = v.view_schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = v.view_name
  WHERE v.stage = 'published' AND v.fingerprint ? 'released'
    AND NOT has_table_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user)::name, c.oid, 'SELECT')
  ORDER BY 1, 2
$$;
ALTER FUNCTION tapdb.guarded_views() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.guarded_views() IS 'Views of which the role that reads sees only what is released, and their barriers.';
REVOKE ALL ON FUNCTION tapdb.guarded_views() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.guarded_views() TO tapdb_reader;
