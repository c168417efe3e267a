-- Columns of the versioned tables as they were in a snapshot: (schema, table, key columns, column, type as PostgreSQL writes it), in order.
-- Parameter: snapshot, a number; NULL for the newest one.
SELECT t.table_schema, t.table_name, t.key_columns, c.column_name, c.data_type
FROM ppdb_history.versioned_table t
JOIN ppdb_history.versioned_column c USING (table_name)
CROSS JOIN (SELECT coalesce(%(snapshot)s, max(snapshot_id)) AS snapshot_id FROM ppdb_history.clock) wanted
WHERE c.snap_from <= wanted.snapshot_id AND c.snap_to > wanted.snapshot_id
ORDER BY t.table_schema, t.table_name, c.ordinal
