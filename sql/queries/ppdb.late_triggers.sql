-- Row triggers that may change a row of a versioned table after tapdb_stamp has decided whether it is a new version: (schema, relation, name). Triggers fire in the
-- order of their names, and ours are known by the schema of their functions.
SELECT n.nspname AS schema, c.relname AS relation, t.tgname AS name
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN ppdb_history.versioned_table v ON v.table_schema = n.nspname AND v.table_name = c.relname
-- 19: FOR EACH ROW, BEFORE, UPDATE.
WHERE NOT t.tgisinternal AND t.tgtype & 19 = 19 AND t.tgname > 'tapdb_stamp' AND t.tgfoid NOT IN (SELECT oid FROM pg_proc WHERE pronamespace = 'ppdb_history'::regnamespace)
ORDER BY 1, 2, 3
