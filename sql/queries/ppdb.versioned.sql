-- Versioned tables with all columns that they ever had: (name, schema, key, from_snapshot, columns), columns being [name, type, snap_from, snap_to] in order.
SELECT t.table_name AS name, t.table_schema AS schema, t.key_columns AS key, t.from_snapshot,
  json_agg(json_build_array(c.column_name, c.data_type, c.snap_from, c.snap_to) ORDER BY c.ordinal) AS columns
FROM ppdb_history.versioned_table t JOIN ppdb_history.versioned_column c USING (table_name)
GROUP BY t.table_name, t.table_schema, t.key_columns, t.from_snapshot
ORDER BY t.table_name
