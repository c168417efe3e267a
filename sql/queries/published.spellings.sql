-- Names of the columns of each table and view outside of PostgreSQL's own schemas, in order. A subquery for each
-- relation reads pg_attribute by its index: a join would sort all names.
SELECT n.nspname::text AS schema, c.relname::text AS relation,
    ARRAY(
        SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
