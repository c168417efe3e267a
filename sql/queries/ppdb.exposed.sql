-- Rights on a versioned table that its versions do not share: (schema, name, relation, grantee, columns, row_security). grantee, a role or PUBLIC, may read relation, which
-- holds versions, and not these columns of the table; or, where row_security is true, policies restrict the rows of the table and not those of relation.
WITH held AS (
  SELECT t.table_schema AS schema, t.table_name AS name, c.oid AS relation, c.relowner, c.relacl, c.relrowsecurity, now.oid AS current,
    now.relrowsecurity AS current_row_security
  FROM ppdb_history.versioned_table t
    CROSS JOIN LATERAL (VALUES (t.table_name), (t.table_name || '_closed')) kept (name)
    JOIN pg_class c ON c.oid = to_regclass(format('ppdb_history.%I', kept.name))
    JOIN pg_class now ON now.oid = to_regclass(format('%I.%I', t.table_schema, t.table_name))
), readers AS (
  SELECT held.*, g.grantee, NULL AS attname FROM held CROSS JOIN LATERAL aclexplode(relacl) g WHERE g.privilege_type = 'SELECT'
  UNION ALL
  SELECT held.*, g.grantee, a.attname FROM held JOIN pg_attribute a ON a.attrelid = held.relation CROSS JOIN LATERAL aclexplode(a.attacl) g
  WHERE g.privilege_type = 'SELECT' AND NOT a.attisdropped
), seen AS (
  SELECT DISTINCT r.schema, r.name, r.relation, r.current, CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r.grantee) END AS grantee, r.grantee AS role,
    a.attname, a.attnum
  FROM readers r JOIN pg_attribute a ON a.attrelid = r.current AND a.attnum > 0 AND NOT a.attisdropped AND (r.attname IS NULL OR r.attname = a.attname)
  WHERE r.grantee <> r.relowner AND a.attname NOT IN ('snap_from', 'snap_to')
)
SELECT schema, name, relation::regclass::text AS relation, grantee, array_agg(attname::text ORDER BY attnum) AS columns, false AS row_security
FROM seen
WHERE NOT CASE role WHEN 0 THEN has_column_privilege('public', current, attname, 'SELECT') ELSE has_column_privilege(role, current, attname, 'SELECT') END
GROUP BY schema, name, relation, grantee
UNION ALL
SELECT schema, name, relation::regclass::text, '', '{}', true FROM held WHERE current_row_security AND NOT relrowsecurity
ORDER BY 1, 2, 3, 4
