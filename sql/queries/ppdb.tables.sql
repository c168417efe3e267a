-- Ordinary tables of all schemas with what versioning needs to know of them: (oid, schema, name, columns, key columns, other indexes).
-- columns: name, type as PostgreSQL writes it, whether it may not be NULL and whether the type's number is another one in each database, in order; indexes: columns of each btree index that is not the key's and has columns only.
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner, c.relispartition AS is_partition,
  (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atttypid >= 10000) ORDER BY a.attnum)
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  coalesce((SELECT json_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum))
   FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
   WHERE i.indrelid = c.oid AND i.indisprimary), '[]') AS key,
  coalesce((SELECT json_agg(x.listed ORDER BY x.listed::text) FROM (
     SELECT json_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum)) AS listed
     FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
     WHERE i.indrelid = c.oid AND NOT i.indisprimary AND i.indexprs IS NULL AND i.indpred IS NULL AND m.amname = 'btree'
     GROUP BY i.indexrelid) x), '[]') AS indexes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
