-- Indexes over the positions of ended versions that do not answer searches at a position and an end, and these alone, where no other one does:
-- (name of the table, index_name, has_end).
SELECT c.relname AS name, x.relname AS index_name, i.indnkeyatts > 1 AS has_end
FROM ppdb_history.versioned_table t
  JOIN pg_class c ON c.oid = to_regclass(format('ppdb_history.%I', t.table_name || '_closed'))
  JOIN pg_index i ON i.indrelid = c.oid
  JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indisvalid AND pg_get_indexdef(i.indexrelid) LIKE '%USING gist (spoint(radians(ra), radians(%))%' AND i.indpred IS NULL
  AND NOT EXISTS (
    SELECT FROM pg_index o WHERE o.indrelid = c.oid AND o.indisvalid AND o.indnkeyatts = 2
      AND pg_get_indexdef(o.indexrelid) LIKE '%USING gist (spoint(radians(ra), radians(%)), snap_to) WHERE (spoint(%) IS NOT NULL)')
ORDER BY 1, 2
