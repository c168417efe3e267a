-- Tables and views that role tapdb_reader may read, with their kind as in pg_class.relkind; all of them if there is no such role.
SELECT n.nspname AS schema, c.relname AS relation, c.relkind::text AS kind
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_roles r ON r.rolname = 'tapdb_reader'
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (r.oid IS NULL OR (has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT')))
