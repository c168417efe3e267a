-- What whoever is connected lacks to migrate this database, as statements for a superuser, in the order in which to run them.
-- From PostgreSQL 16 on, CREATEROLE alone lets nobody join a role that somebody else made.
WITH me AS (
  SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole FROM pg_roles r WHERE r.rolname = current_user
), owner AS (
  SELECT r.oid, pg_has_role(r.oid, 'USAGE') AS mine,
    EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND m.admin_option AND pg_has_role(m.member, 'USAGE')) AS administered
  FROM pg_roles r WHERE r.rolname = 'tapdb_owner'
)
SELECT 1 AS step, 'CREATE ROLE tapdb_owner NOLOGIN;' AS statement
FROM me WHERE NOT rolsuper AND NOT rolcreaterole AND NOT EXISTS (SELECT FROM owner)
UNION ALL
SELECT 2, 'CREATE ROLE tapdb_reader NOLOGIN;'
FROM me WHERE NOT rolsuper AND NOT rolcreaterole AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tapdb_reader')
UNION ALL
SELECT 3, format('GRANT tapdb_owner TO %I;', me.rolname)
FROM me LEFT JOIN owner ON true
WHERE NOT me.rolsuper AND (
  (owner.oid IS NULL AND NOT me.rolcreaterole)
  OR (NOT owner.mine AND NOT owner.administered AND NOT (me.rolcreaterole AND current_setting('server_version_num')::int < 160000)))
UNION ALL
SELECT 4, format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), me.rolname)
FROM me WHERE NOT has_database_privilege(current_database(), 'CREATE') AND to_regnamespace('ivoa') IS NULL
ORDER BY 1
