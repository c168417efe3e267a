-- Who may do what with each table and view of this database, and with single columns: one row for each privilege, owners' left out.
-- (oid, schema, relation, column or NULL, grantee or NULL for PUBLIC, privilege, grantable). One row of NULLs in place of grants for a relation without any.
SELECT c.oid, n.nspname AS schema, c.relname AS relation, a.attname AS column_name,
  CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee)::text END AS grantee, g.privilege_type AS privilege, g.is_grantable AS grantable
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
    SELECT NULL::smallint AS attnum, g.* FROM aclexplode(c.relacl) g WHERE g.grantee <> c.relowner
    UNION ALL
    SELECT p.attnum, g.* FROM pg_attribute p, aclexplode(p.attacl) g WHERE p.attrelid = c.oid AND NOT p.attisdropped AND g.grantee <> c.relowner
  ) g ON true
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = g.attnum
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 2, 3, 4 NULLS FIRST, 5, 6
