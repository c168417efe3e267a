-- Schemas with a Butler registry, whether the current user may read it or not: information_schema shows what one may read.
SELECT n.nspname AS schema
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'butler_attributes' AND c.relkind IN ('r', 'p', 'v', 'f')
ORDER BY n.nspname
