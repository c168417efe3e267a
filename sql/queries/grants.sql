-- Who may do what with each schema, table and view of this database, and with single columns: one row for each privilege, owners' left out.
-- (oid, schema, relation or NULL, column or NULL, grantee or NULL for PUBLIC, privilege, grantable). privilege is NULL for a thing without any.
WITH thing AS (
  SELECT n.oid, n.nspname AS schema, NULL::name AS relation, n.nspowner AS owner, n.nspacl AS acl
  FROM pg_namespace n
  UNION ALL
  SELECT c.oid, n.nspname, c.relname, c.relowner, c.relacl
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT t.oid, t.schema, t.relation, a.attname AS column_name,
  CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee)::text END AS grantee, g.privilege_type AS privilege, g.is_grantable AS grantable
FROM thing t
  LEFT JOIN LATERAL (
    SELECT NULL::smallint AS attnum, g.* FROM aclexplode(t.acl) g WHERE g.grantee <> t.owner
    UNION ALL
    SELECT p.attnum, g.* FROM pg_attribute p, aclexplode(p.attacl) g
    WHERE p.attrelid = t.oid AND t.relation IS NOT NULL AND NOT p.attisdropped AND g.grantee <> t.owner
  ) g ON true
  LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = g.attnum
WHERE t.schema <> 'information_schema' AND t.schema !~ '^pg_'
