-- Columns of all tables and views of the schemas with a Butler registry, with their types in the words of information_schema, and
-- length; also of those that the current user may not read, which information_schema leaves out.
SELECT n.nspname AS schema, c.relname AS relation, a.attname AS name,
  CASE WHEN t.typcategory = 'A' THEN 'ARRAY' WHEN tn.nspname = 'pg_catalog' THEN format_type(a.atttypid, NULL) ELSE 'USER-DEFINED' END
  || CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN format('(%s)', a.atttypmod - 4) ELSE '' END AS type
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_namespace tn ON tn.oid = t.typnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'f')
  AND EXISTS (SELECT FROM pg_class r WHERE r.relnamespace = n.oid AND r.relname = 'butler_attributes')
ORDER BY n.nspname, c.relname, a.attnum
