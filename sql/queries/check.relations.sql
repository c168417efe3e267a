-- Relations of this database with the state of what searches need:
-- (schema, name, kind, analysed, valid, options, storage_options, has_key, has_polygon_index).
-- kind as in pg_class.relkind; valid is of indexes; options are those of columns, as {n_distinct=-1}, all columns together; storage_options are those
-- of the relation itself, as {security_barrier=true}, and of its TOAST table, as {toast.autovacuum_enabled=false}.
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.reltuples >= 0 AS analysed,
  coalesce((SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = c.oid), true) AS valid,
  ARRAY(SELECT o FROM pg_attribute a, unnest(a.attoptions) o WHERE a.attrelid = c.oid AND a.attnum > 0) AS options,
  ARRAY(
    SELECT o FROM (SELECT unnest(c.reloptions) UNION ALL
      SELECT 'toast.' || unnest(t.reloptions) FROM pg_class t WHERE t.oid = c.reltoastrelid) AS of(o) ORDER BY o
  ) AS storage_options,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_key,
  EXISTS (
    SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    WHERE i.indrelid = c.oid AND i.indisvalid AND m.amname = 'gist'
  ) AS has_polygon_index
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'v', 'm', 'i', 'p', 'I')
