-- What decides which rows of some tables the current role sees: the instant at which release counts (UTC, ISO 8601), the roles through which it sees all rows of one of
-- them, whether it sees all rows of all of them, the time now (MJD TAI), the longest embargo in hours: infinity if rows of one are never released, as those are of a
-- table that follows another which lacks their key; and since when the rules are what they are. No row without a rule. A role that sees all rows by no grant, such as a
-- member of pg_read_all_data, is named itself.
-- Parameter: names, of tables.
SELECT to_char(least(timezone('UTC', now()), nullif(current_setting('tapdb.release_instant', true), '')::timestamp), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  coalesce(nullif(ARRAY(
    SELECT DISTINCT g.rolname::text
    FROM ppdb_history.release_rule r JOIN ppdb_history.versioned_table t USING (table_name)
      JOIN pg_class c ON c.relname = t.table_name AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = t.table_schema)
      CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a JOIN pg_roles g ON g.oid = a.grantee
    WHERE r.table_name = ANY (%(names)s) AND a.privilege_type = 'SELECT' AND pg_has_role(g.oid, 'USAGE')
    ORDER BY 1), '{}'), CASE WHEN bool_or(has_table_privilege(c.oid, 'SELECT')) THEN ARRAY[current_user::text] ELSE '{}' END),
  bool_and(has_table_privilege(c.oid, 'SELECT')), tapdb.mjd_tai(now()),
  max(CASE WHEN r.time_column IS NULL THEN 'infinity' ELSE r.embargo_hours END),
  to_char(timezone('UTC', max(greatest(r.since, f.since))), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM ppdb_history.release_rule r JOIN ppdb_history.versioned_table t USING (table_name)
  JOIN pg_class c ON c.relname = t.table_name AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = t.table_schema)
  LEFT JOIN ppdb_history.release_rule f ON f.table_name = r.follows
WHERE r.table_name = ANY (%(names)s)
HAVING count(*) > 0
