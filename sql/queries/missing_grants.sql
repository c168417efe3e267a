-- What the current user lacks of the rights in the parameter needed, as statements for a superuser or an owner.
-- The parameter is JSON: [{"privilege": "SELECT", "schema": "butler", "relation": "visit"}, ...]. A privilege may end in WITH GRANT
-- OPTION; OWNER is the right to alter, index and drop, and of tapdb_owner's the right to hand over to it. No relation means the
-- schema itself, no schema the database, and * all tables and views of the schema. What does not exist is left out. Nobody is made
-- a member of a superuser: tables of a superuser change hands instead, those that are named, never all of a schema. Members of an
-- owner have what the owner has: nothing is granted to them one by one.
WITH me AS (
  SELECT r.oid, r.rolname, r.rolinherit, current_setting('server_version_num')::int >= 160000 AS parts_rights
  FROM pg_roles r WHERE r.rolname = current_user
), needed AS (
  SELECT split_part(n.privilege, ' WITH ', 1) AS privilege, n.privilege AS whole, n.schema, n.relation
  FROM jsonb_to_recordset(CAST(:needed AS jsonb)) AS n (privilege text, schema text, relation text)
), found AS (
  SELECT DISTINCT n.privilege, n.whole, s.oid AS schema_id, s.nspname AS schema, s.nspowner, t.oid AS table_id, t.relname AS relation, n.relation = '*' AS everything,
    coalesce(t.relowner, s.nspowner) AS owner_id, o.rolname AS owner, o.rolsuper,
    CASE WHEN n.schema IS NULL THEN has_database_privilege(current_database(), n.whole)
      WHEN n.relation IS NULL THEN has_schema_privilege(s.oid, n.whole)
      WHEN n.privilege = 'OWNER' THEN pg_has_role(t.relowner, 'USAGE')
        AND CASE WHEN me.parts_rights AND o.rolname = 'tapdb_owner' THEN pg_has_role(t.relowner, 'SET') ELSE true END
      ELSE has_table_privilege(t.oid, n.whole) END AS held
  FROM needed n
  CROSS JOIN me
  LEFT JOIN pg_namespace s ON s.nspname = n.schema
  LEFT JOIN pg_class c ON c.relnamespace = s.oid AND (c.relname = n.relation OR (n.relation = '*' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')))
  LEFT JOIN pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
  LEFT JOIN pg_roles o ON o.oid = coalesce(t.relowner, s.nspowner)
  WHERE (n.schema IS NULL OR s.oid IS NOT NULL) AND (n.relation IS NULL OR t.oid IS NOT NULL)
), lacking AS (
  SELECT f.* FROM found f WHERE NOT f.held
), joined AS (
  SELECT DISTINCT owner_id, owner FROM lacking WHERE privilege = 'OWNER' AND NOT rolsuper
)
SELECT 1 AS step, format(
    CASE WHEN me.parts_rights AND (pg_has_role(joined.owner_id, 'MEMBER') OR NOT me.rolinherit) THEN 'GRANT %I TO %I WITH INHERIT TRUE, SET TRUE;'
      WHEN pg_has_role(joined.owner_id, 'MEMBER') THEN 'ALTER ROLE %2$I INHERIT;'
      ELSE 'GRANT %I TO %I;' END,
    joined.owner, me.rolname) AS statement
FROM joined CROSS JOIN me
UNION ALL
SELECT 2, format('ALTER ROLE %I INHERIT;', me.rolname)
FROM me WHERE NOT me.parts_rights AND NOT me.rolinherit AND EXISTS (SELECT FROM joined WHERE NOT pg_has_role(joined.owner_id, 'MEMBER'))
UNION ALL
SELECT 3, format('GRANT %s ON DATABASE %I TO %I;', l.privilege, current_database(), me.rolname)
FROM lacking l CROSS JOIN me WHERE l.schema IS NULL
UNION ALL
SELECT 4, format('GRANT %s ON SCHEMA %I TO %I%s;', l.privilege, l.schema, me.rolname, substr(l.whole, length(l.privilege) + 1))
FROM lacking l CROSS JOIN me WHERE l.schema IS NOT NULL AND l.relation IS NULL AND l.nspowner NOT IN (SELECT owner_id FROM joined)
UNION ALL
SELECT 5, format('GRANT %s ON %s TO %I%s;', l.privilege,
    CASE WHEN bool_or(l.everything) THEN format('ALL TABLES IN SCHEMA %I', l.schema)
      ELSE string_agg(format('%I.%I', l.schema, l.relation), ', ' ORDER BY l.relation) END,
    me.rolname, substr(l.whole, length(l.privilege) + 1))
FROM lacking l CROSS JOIN me
WHERE l.relation IS NOT NULL AND l.privilege <> 'OWNER' AND l.owner_id NOT IN (SELECT owner_id FROM joined)
  AND NOT EXISTS (SELECT FROM lacking a WHERE a.privilege = 'OWNER' AND a.table_id = l.table_id AND NOT (a.everything AND a.rolsuper))
GROUP BY l.privilege, l.whole, l.schema, me.rolname
UNION ALL
SELECT DISTINCT 6, format('ALTER TABLE %I.%I OWNER TO %I;', l.schema, l.relation, me.rolname)
FROM lacking l CROSS JOIN me WHERE l.privilege = 'OWNER' AND l.rolsuper AND NOT l.everything
ORDER BY 1, 2
