-- Indexes over the positions of ended versions that have no snap_to, where no other one has it: (name of the table, index_name).
SELECT c.relname AS name, x.relname AS index_name
FROM ppdb_history.versioned_table t
  JOIN pg_class c ON c.oid = to_regclass(format('ppdb_history.%I', t.table_name || '_closed'))
  JOIN pg_index i ON i.indrelid = c.oid
  JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indisvalid AND pg_get_indexdef(i.indexrelid) LIKE '%USING gist (spoint(radians(ra), radians(%))%' AND i.indnkeyatts = 1
  AND NOT EXISTS (
    SELECT FROM pg_index o WHERE o.indrelid = c.oid AND o.indisvalid AND o.indnkeyatts = 2
      AND pg_get_indexdef(o.indexrelid) LIKE '%USING gist (spoint(radians(ra), radians(%)), snap_to)')
ORDER BY 1, 2
