-- Versioned tables of which the current user sees other rows or columns than of their versions: (name, relation, row_security, columns). relation holds versions;
-- row_security is true where policies restrict the rows of one of them, columns are those that the user may read there and not in the table.
-- Parameter: names, of tables. Owners, superusers and roles with BYPASSRLS are not restricted.
SELECT format('%%I.%%I', t.table_schema, t.table_name) AS name, format('ppdb_history.%%I', kept.relname) AS relation,
  row_security_active(now.oid) OR row_security_active(kept.oid) AS row_security, hidden.columns
FROM ppdb_history.versioned_table t
  JOIN pg_class now ON now.relname = t.table_name AND now.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = t.table_schema)
  JOIN pg_class kept ON kept.relname IN (t.table_name, t.table_name || '_closed')
    AND kept.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'ppdb_history')
  LEFT JOIN LATERAL (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM pg_attribute a JOIN pg_attribute b ON b.attrelid = kept.oid AND b.attname = a.attname
    WHERE a.attrelid = now.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('snap_from', 'snap_to')
      AND NOT has_column_privilege(now.oid, a.attnum, 'SELECT') AND has_column_privilege(kept.oid, b.attnum, 'SELECT')
  ) hidden ON NOT has_table_privilege(now.oid, 'SELECT')
WHERE t.table_name = ANY (%(names)s)
  AND (row_security_active(now.oid) OR row_security_active(kept.oid) OR hidden.columns IS NOT NULL)
ORDER BY 1, 2
LIMIT 1
