-- Whether the current user may see all rows of some relations and, of those outside of ppdb_history, all columns: what `ppdb.rights_that_differ` has to look at
-- otherwise. Runs before each query. Parameters: names, of relations; schemas, of theirs. (is_whole).
SELECT NOT EXISTS (
  SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = ANY (%(names)s) AND n.nspname = ANY (%(schemas)s)
    AND (c.relrowsecurity AND row_security_active(c.oid) OR n.nspname <> 'ppdb_history' AND NOT has_table_privilege(c.oid, 'SELECT')))
