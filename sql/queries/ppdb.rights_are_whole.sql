-- Whether the current user may see all rows of some relations and, of those outside of ppdb_history, all columns, and each table of versions has its two parts, into
-- which no subscription writes: what `ppdb.rights_that_differ` and `ppdb.incomplete` have to look at otherwise. Runs before each query.
-- Names are looked up one by one: the planner would rather try the privileges of all relations of the database.
-- Parameters: names, of relations; schemas, of theirs; tables, how many versioned tables they belong to. (is_whole).
SELECT NOT EXISTS (
  SELECT FROM pg_namespace n CROSS JOIN unnest(%(names)s::text[]) AS r (name)
    CROSS JOIN LATERAL (SELECT CASE WHEN has_schema_privilege(n.oid, 'USAGE') THEN to_regclass(quote_ident(n.nspname) || '.' || quote_ident(r.name)) END AS oid) c
  WHERE n.nspname = ANY (%(schemas)s)
    AND (row_security_active(c.oid) OR n.nspname <> 'ppdb_history' AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))))
  AND NOT EXISTS (SELECT FROM pg_subscription_rel)
  AND %(tables)s = (
    SELECT count(*) FILTER (WHERE part.relkind = 'r') / 2.0
    FROM unnest(%(names)s::text[]) AS r (name) JOIN pg_inherits i ON i.inhparent = to_regclass('ppdb_history.' || quote_ident(r.name)) JOIN pg_class part ON part.oid = i.inhrelid)
