-- What can lose rows of a PPDB, though all are there: (schema, name, relation, problem, remedy, is_error). Relations that a crash empties and no standby has, tables without the key
-- that they had, columns of types that have another number in each database, and with it another digest, and relations that a subscription writes to.
WITH held AS (
  SELECT t.table_schema AS schema, t.table_name AS name, t.key_columns, part.relation, part.is_current
  FROM ppdb_history.versioned_table t CROSS JOIN LATERAL (VALUES
    (to_regclass(format('%I.%I', t.table_schema, t.table_name)), true), (to_regclass(format('ppdb_history.%I', t.table_name || '_closed')), false)) part (relation, is_current)
  UNION ALL
  SELECT 'ppdb_history', c.relname, NULL, c.oid, false FROM pg_class c
  WHERE c.relnamespace = to_regnamespace('ppdb_history') AND c.relname IN ('clock', 'snapshot', 'snapshot_table', 'pending_rows', 'versioned_table', 'versioned_column',
    'stored_query', 'stored_query_revision', 'stored_query_check', 'collection')
)
SELECT h.schema, h.name, h.relation::regclass::text AS relation, 'is UNLOGGED: a crash empties it, and no standby has it' AS problem,
  format('ALTER TABLE %s SET LOGGED', h.relation::regclass) AS remedy, true AS is_error
FROM held h JOIN pg_class c ON c.oid = h.relation WHERE c.relpersistence = 'u'
UNION ALL
SELECT h.schema, h.name, h.relation::regclass::text, 'has lost its primary key: two rows can be the same object of one snapshot',
  format('ALTER TABLE %s ADD PRIMARY KEY (%s)', h.relation::regclass, (SELECT string_agg(quote_ident(k), ', ' ORDER BY o) FROM unnest(h.key_columns) WITH ORDINALITY u (k, o))), true
FROM held h WHERE h.is_current AND NOT EXISTS (
  SELECT FROM pg_index i WHERE i.indrelid = h.relation AND i.indisprimary AND i.indisvalid AND h.key_columns = ARRAY(
    SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) ORDER BY array_position(i.indkey::int2[], a.attnum)))
UNION ALL
SELECT h.schema, h.name, h.relation::regclass::text,
  format('has column %I of type %s: its digests hold in this database only, and not after pg_dump and pg_restore', a.attname, format_type(a.atttypid, a.atttypmod)),
  'add a column of one of PostgreSQL''s own types in its place, and drop it', false
-- Numbers from 10000 on are given out when a cluster or a type is made.
FROM held h JOIN pg_attribute a ON a.attrelid = h.relation WHERE h.is_current AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 10000
UNION ALL
SELECT h.schema, h.name, h.relation::regclass::text, format('is written by subscription %I', u.subname), 'let it write to a table beside it, and copy from there', true
FROM held h JOIN pg_subscription_rel s ON s.srrelid = h.relation JOIN pg_subscription u ON u.oid = s.srsubid
-- Where versions are kept of what it applies (tapdb ppdb follow), nothing is lost.
WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = h.relation AND t.tgname = 'tapdb_apply' AND t.tgenabled IN ('R', 'A'))
ORDER BY 1, 2, 3, 4
