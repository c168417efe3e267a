-- Schemas outside of PostgreSQL's own, with their comments.
SELECT n.nspname AS schema, obj_description(n.oid, 'pg_namespace') AS comment
FROM pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname
