-- sha256 c5ac0ec0364aba284bee63e93ba9b34e60ca34af338f976b84d5f9179de69f83
-- Tables and views of which a role, by default the one that reads, sees only what is released: under which name it sees that, and the view of the same rows that is a
-- barrier: no expression of a query is evaluated there on a row that the role may not see. Services take it for queries that could fail on such a row, or say so.
-- requires: tables/tapdb.view_definition, tables/ppdb_history.release_rule
-- drop
DROP FUNCTION IF EXISTS tapdb.guarded_views(name);
-- create
CREATE FUNCTION tapdb.guarded_views(reader name DEFAULT coalesce(nullif(current_setting('role'), 'none'), session_user)::name)
RETURNS TABLE (table_schema text, table_name text, shown_schema text, shown_name text, guarded_schema text, guarded_name text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT v.fingerprint #>> '{released,schema}', v.fingerprint #>> '{released,name}', v.fingerprint #>> '{released,schema}', v.fingerprint #>> '{released,name}',
    'tapdb', v.fingerprint #>> '{released,guarded}'
  FROM tapdb.view_definition v
  JOIN pg_namespace n ON n.nspname = v.view_schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = v.view_name
  WHERE v.stage = 'published' AND v.fingerprint ? 'released' AND NOT has_table_privilege(reader, c.oid, 'SELECT')
  ORDER BY 1, 2;
  -- ObsCore does not need the schema of the PPDB, which a DBA may have dropped.
  IF to_regclass('ppdb_history.release_rule') IS NOT NULL THEN
    RETURN QUERY
    SELECT s.schema, r.table_name, 'ppdb_history', r.table_name || s.middle || '_released', 'ppdb_history', r.table_name || s.middle || '_guarded'
    FROM ppdb_history.release_rule r JOIN ppdb_history.versioned_table t ON t.table_name = r.table_name
    JOIN pg_namespace n ON n.nspname = t.table_schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.table_name
    CROSS JOIN LATERAL (VALUES (t.table_schema, ''), ('ppdb_history', '_versions')) s (schema, middle)
    WHERE NOT has_table_privilege(reader, c.oid, 'SELECT')
    ORDER BY 1, 2;
  END IF;
END
$$;
ALTER FUNCTION tapdb.guarded_views(name) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.guarded_views(name) IS 'What a role sees of tables and views that are not released for it, and their barriers.';
REVOKE ALL ON FUNCTION tapdb.guarded_views(name) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.guarded_views(name) TO tapdb_reader;
