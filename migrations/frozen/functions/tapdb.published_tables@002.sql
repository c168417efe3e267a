-- sha256 3464c7a56ac3a86ca1948cf6370461e6b3b8c5108296bf3d7a8b09e006fef269
-- Tables that TAP_SCHEMA publishes, with what the database calls them; of those the caller may read. Where the caller sees what is released alone,
-- that is the view of it.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, tables/tap_schema.tables, functions/tapdb.guarded_views
-- drop
DROP FUNCTION IF EXISTS tapdb.published_tables();
-- create
CREATE FUNCTION tapdb.published_tables() RETURNS TABLE (table_name text, relation regclass)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT DISTINCT ON (t.table_name) t.table_name, s.oid::regclass
  FROM tap_schema.tables t
  JOIN pg_namespace n ON lower(n.nspname) = lower(replace(split_part(t.table_name, '.', 1), '"', ''))
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND lower(c.relname) = lower(replace(split_part(t.table_name, '.', 2), '"', ''))
  LEFT JOIN tapdb.guarded_views() v ON v.table_schema = n.nspname AND v.table_name = c.relname
  JOIN pg_class s ON s.oid = CASE WHEN v.shown_name IS NULL THEN c.oid ELSE to_regclass(format('%I.%I', v.shown_schema, v.shown_name)) END
  WHERE has_table_privilege(s.oid, 'SELECT') AND has_schema_privilege(s.relnamespace, 'USAGE')
  -- Of two names that differ in case, the one that is spelled as it is published.
  ORDER BY t.table_name, c.relname = replace(split_part(t.table_name, '.', 2), '"', '') DESC, c.oid;
$$;
ALTER FUNCTION tapdb.published_tables() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.published_tables() IS 'Published tables that the caller may read, with their names in the database.';
REVOKE ALL ON FUNCTION tapdb.published_tables() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.published_tables() TO tapdb_reader;
