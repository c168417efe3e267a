-- What keeps rows from queries as of a snapshot: (schema, name, relation, problem, is_current). A relation with rows of versions is no part of the table of versions, or is not
-- kept in this database; or the clock and rows come here on different ways, so that rows of the clock's snapshot can be missing. is_current is true of the current rows.
WITH held AS (
  SELECT t.table_schema AS schema, t.table_name AS name, to_regclass(format('ppdb_history.%I', t.table_name)) AS versions,
    to_regclass(format('%I.%I', t.table_schema, t.table_name)) AS current, to_regclass(format('ppdb_history.%I', t.table_name || '_closed')) AS ended
  FROM ppdb_history.versioned_table t
), parts AS (
  SELECT h.schema, h.name, h.versions, part.relation, part.is_current, c.relkind, i.inhparent IS NOT DISTINCT FROM h.versions AS is_part
  FROM held h CROSS JOIN LATERAL (VALUES (h.current, true), (h.ended, false)) part (relation, is_current)
    LEFT JOIN pg_class c ON c.oid = part.relation LEFT JOIN pg_inherits i ON i.inhrelid = part.relation
  UNION ALL
  SELECT h.schema, h.name, h.versions, i.inhrelid, false, NULL, false
  FROM held h JOIN pg_inherits i ON i.inhparent = h.versions WHERE i.inhrelid NOT IN (h.current, h.ended)
), ways AS (
  SELECT h.schema, h.name, came.relation, s.srsubid, s.srsubstate
  FROM held h CROSS JOIN LATERAL (
      SELECT unnest(ARRAY[h.current, h.ended])
      UNION ALL
      SELECT to_regclass('ppdb_history.' || own) FROM unnest(ARRAY['clock', 'snapshot', 'snapshot_table', 'versioned_table', 'versioned_column']) own
    ) came (relation)
    -- A partition gets what a subscription writes to the table above it.
    LEFT JOIN pg_subscription_rel s ON s.srrelid IN (came.relation, CASE WHEN came.relation IN (h.current, h.ended) THEN h.versions END)
      -- What follows a primary (tapdb ppdb follow) has its snapshots, and the clock, from its own triggers.
      AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = s.srrelid AND t.tgname = 'tapdb_apply' AND t.tgenabled IN ('R', 'A'))
)
SELECT schema, name, coalesce(relation::regclass::text, format('ppdb_history.%I', name || '_closed')) AS relation,
  CASE WHEN relation IS NULL THEN 'is missing' WHEN relkind IS NULL THEN 'is a part of ' || versions::text || ' that tapdb has not made'
    WHEN relkind = 'f' THEN 'is a foreign table: its server keeps no snapshots of this one'
    WHEN relkind <> 'r' THEN 'is no ordinary table' ELSE 'is no part of ' || versions::text END AS problem, is_current
FROM parts WHERE NOT is_part OR relkind IS DISTINCT FROM 'r'
UNION ALL
SELECT schema, name, min(relation::regclass::text) FILTER (WHERE srsubid IS NOT NULL),
  CASE WHEN bool_or(srsubstate <> 'r') THEN 'is still copied by a subscription' ELSE 'is written by a subscription that does not write all of these: '
    || string_agg(DISTINCT relation::regclass::text, ', ') END, false
FROM ways GROUP BY schema, name HAVING count(DISTINCT coalesce(srsubid, 0)) > 1 OR bool_or(srsubstate <> 'r')
ORDER BY 1, 2, 3, 4
