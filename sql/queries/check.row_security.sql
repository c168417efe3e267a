-- Tables whose row security hides rows from tapdb_owner, and so from the views and kept tables that belong to it: (schema, name).
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.rolname = 'tapdb_owner'
WHERE c.relrowsecurity AND NOT o.rolsuper AND NOT o.rolbypassrls AND (c.relforcerowsecurity OR NOT pg_has_role(o.oid, c.relowner, 'USAGE'))
ORDER BY 1, 2
