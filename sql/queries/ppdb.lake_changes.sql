-- How many versions began and ended with each snapshot after one: (snapshot, table, begun, ended).
-- Parameter: after, a number.
SELECT snapshot_id, table_name, begun, ended FROM ppdb_history.snapshot_table WHERE snapshot_id > %(after)s ORDER BY snapshot_id, table_name
