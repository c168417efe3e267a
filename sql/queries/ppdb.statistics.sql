-- How many rows PostgreSQL's statistics count in each versioned table: in the relation of all versions, and in its partitions, which autovacuum looks after.
-- (name, counted, expected).
SELECT t.table_name AS name, greatest(p.reltuples, 0) AS counted,
  (SELECT coalesce(sum(greatest(c.reltuples, 0)), 0) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = p.oid) AS expected
FROM ppdb_history.versioned_table t
  JOIN pg_class p ON p.oid = to_regclass(format('ppdb_history.%I', t.table_name))
