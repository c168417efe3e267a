-- Whether the current user may see all rows of some relations and, of those outside of ppdb_history, all columns, and each table of versions has its two parts, into
-- which no subscription writes: what `ppdb.rights_that_differ` and `ppdb.incomplete` have to look at otherwise. Runs before each query.
-- Parameters: names, of relations; schemas, of theirs; tables, how many versioned tables they belong to. (is_whole).
SELECT NOT EXISTS (
  SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = ANY (%(names)s) AND n.nspname = ANY (%(schemas)s)
    AND (c.relrowsecurity AND row_security_active(c.oid) OR n.nspname <> 'ppdb_history' AND NOT has_table_privilege(c.oid, 'SELECT')))
  AND NOT EXISTS (SELECT FROM pg_subscription_rel)
  AND %(tables)s = (
    SELECT count(*) FILTER (WHERE part.relkind = 'r') / 2.0 FROM pg_class c JOIN pg_inherits i ON i.inhparent = c.oid JOIN pg_class part ON part.oid = i.inhrelid
    WHERE c.relname = ANY (%(names)s) AND c.relnamespace = 'ppdb_history'::regnamespace)
