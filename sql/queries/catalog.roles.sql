-- Roles of the cluster: what each may do, of whom it is a member, its settings in this database: (role, object, property, value).
SELECT r.rolname AS role, format('role %I', r.rolname) AS object, 'attributes' AS property,
  concat_ws(' ', CASE WHEN r.rolcanlogin THEN 'login' ELSE 'nologin' END, CASE WHEN r.rolsuper THEN 'superuser' END,
    CASE WHEN r.rolinherit THEN 'inherit' ELSE 'noinherit' END, CASE WHEN r.rolcreaterole THEN 'createrole' END,
    CASE WHEN r.rolcreatedb THEN 'createdb' END, CASE WHEN r.rolreplication THEN 'replication' END,
    CASE WHEN r.rolbypassrls THEN 'bypassrls' END, 'connection limit', r.rolconnlimit) AS value
FROM pg_roles r
UNION ALL
SELECT r.rolname, format('role %I', r.rolname), 'comment', shobj_description(r.oid, 'pg_authid')
FROM pg_roles r WHERE shobj_description(r.oid, 'pg_authid') IS NOT NULL
UNION ALL
SELECT r.rolname, format('role %I', r.rolname), format('member %I', pg_get_userbyid(m.member)),
  CASE WHEN bool_or(m.admin_option) THEN 'with admin option' ELSE 'yes' END
FROM pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid GROUP BY r.rolname, m.member
UNION ALL
SELECT r.rolname, format('role %I', r.rolname), 'settings' || CASE s.setdatabase WHEN 0 THEN '' ELSE ' in this database' END,
  array_to_string(s.setconfig, ', ')
FROM pg_roles r JOIN pg_db_role_setting s ON s.setrole = r.oid
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
