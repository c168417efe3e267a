-- The privileges that the current user lacks to migrate this database, as statements for a superuser, in the order in which to run them.
-- From PostgreSQL 16 on, CREATEROLE alone lets nobody join a role that somebody else made, and a member has either the rights of
-- a role (INHERIT), or the right to hand over to it (SET), or both: both are needed. Before, INHERIT was a matter of the member.
WITH server AS (
  SELECT current_setting('server_version_num')::int >= 160000 AS parts_rights
), me AS (
  SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolinherit FROM pg_roles r WHERE r.rolname = current_user
), owner AS (
  SELECT r.oid, CASE WHEN server.parts_rights THEN pg_has_role(r.oid, 'USAGE') AND pg_has_role(r.oid, 'SET') ELSE pg_has_role(r.oid, 'MEMBER') END AS mine,
    pg_has_role(r.oid, 'MEMBER') AS joined,
    EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND m.admin_option AND pg_has_role(m.member, 'USAGE')) AS administered
  FROM pg_roles r CROSS JOIN server WHERE r.rolname = 'tapdb_owner'
)
SELECT 1 AS step, 'CREATE ROLE tapdb_owner NOLOGIN;' AS statement
FROM me WHERE NOT rolsuper AND NOT rolcreaterole AND NOT EXISTS (SELECT FROM owner)
UNION ALL
SELECT 2, 'CREATE ROLE tapdb_reader NOLOGIN;'
FROM me WHERE NOT rolsuper AND NOT rolcreaterole AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tapdb_reader')
UNION ALL
SELECT 3, 'CREATE ROLE tapdb_service NOLOGIN;'
FROM me WHERE NOT rolsuper AND NOT rolcreaterole AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tapdb_service')
UNION ALL
SELECT 4, format(
  CASE WHEN server.parts_rights AND (owner.joined OR NOT me.rolinherit) THEN 'GRANT tapdb_owner TO %I WITH INHERIT TRUE, SET TRUE;'
    ELSE 'GRANT tapdb_owner TO %I;' END,
  me.rolname)
FROM me CROSS JOIN server LEFT JOIN owner ON true
WHERE NOT me.rolsuper AND (
  (owner.oid IS NULL AND NOT me.rolcreaterole)
  OR (NOT owner.mine AND NOT owner.administered AND NOT (me.rolcreaterole AND NOT server.parts_rights)))
UNION ALL
SELECT 5, format('ALTER ROLE %I INHERIT;', me.rolname)
FROM me CROSS JOIN server WHERE NOT me.rolsuper AND NOT me.rolinherit AND NOT server.parts_rights
UNION ALL
SELECT 6, format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), me.rolname)
FROM me WHERE NOT has_database_privilege(current_database(), 'CREATE')
  AND (to_regnamespace('ivoa') IS NULL OR to_regnamespace('tapdb_queue') IS NULL)
ORDER BY 1
