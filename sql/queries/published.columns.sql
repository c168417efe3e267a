-- Columns of all tables, views and partitions outside of PostgreSQL's own schemas, one row each.
-- kind as in pg_class.relkind; type and length of domains are those of the type below them, as are those of their arrays;
-- readable is by role tapdb_reader, empty if there is none.
-- Of the schemas in the setting tapdb.schemas, one a line; of all if it is empty: SET tapdb.schemas = 'ivoa'.
WITH RECURSIVE wanted AS (
  SELECT n.oid, n.nspname
  FROM pg_namespace n
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND (coalesce(current_setting('tapdb.schemas', true), '') = ''
      OR n.nspname = ANY (string_to_array(current_setting('tapdb.schemas', true), E'\n')))
), reader AS (
  SELECT oid FROM pg_roles WHERE rolname = 'tapdb_reader'
), below AS (
  SELECT t.oid AS domain_id, t.typbasetype AS type_id, t.typtypmod AS modifier
  FROM pg_type t
  WHERE t.typtype = 'd'
  UNION ALL
  SELECT o.domain_id, t.typbasetype, t.typtypmod
  FROM below o
  JOIN pg_type t ON t.oid = o.type_id AND t.typtype = 'd'
), domains AS (
  SELECT o.domain_id, o.type_id, o.modifier
  FROM below o
  JOIN pg_type t ON t.oid = o.type_id AND t.typtype <> 'd'
)
SELECT c.oid AS relation_id, w.nspname AS schema, c.relname AS relation, c.relkind::text AS kind, c.relispartition AS is_partition,
  (SELECT has_schema_privilege(r.oid, w.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT') FROM reader r) AS readable,
  obj_description(c.oid, 'pg_class') AS comment,
  array_agg(a.attname::text ORDER BY a.attnum) AS names,
  array_agg(a.attnum ORDER BY a.attnum) AS numbers,
  array_agg(coalesce(e.typname, t.typname)::text ORDER BY a.attnum) AS types,
  array_agg(coalesce(e.typtype, t.typtype)::text ORDER BY a.attnum) AS type_kinds,
  array_agg(coalesce(m.modifier, a.atttypmod) ORDER BY a.attnum) AS modifiers,
  array_agg(e.oid IS NOT NULL ORDER BY a.attnum) AS are_arrays,
  array_agg(a.attndims::integer ORDER BY a.attnum) AS dimensions,
  array_agg(a.attnotnull ORDER BY a.attnum) AS not_null,
  array_agg(d.description ORDER BY a.attnum) AS comments
FROM wanted w
JOIN pg_class c ON c.relnamespace = w.oid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN domains m ON m.domain_id = a.atttypid
JOIN pg_type t ON t.oid = coalesce(m.type_id, a.atttypid)
LEFT JOIN domains n ON n.domain_id = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_type e ON e.oid = coalesce(n.type_id, t.typelem) AND t.typcategory = 'A'
LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
GROUP BY c.oid, c.relname, c.relkind, c.relispartition, w.oid, w.nspname
ORDER BY w.nspname, c.relname
