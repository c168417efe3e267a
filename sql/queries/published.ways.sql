-- By which subscription of logical replication each table of tapdb's TAP_SCHEMA comes here: (name, subscription, is_copied, all_rows). subscription is NULL of tables that are
-- written here, is_copied true while rows of before the subscription are still missing, all_rows false where the current user may not read the table or all of its rows.
SELECT c.relname::text AS name, s.srsubid::bigint AS subscription, coalesce(s.srsubstate <> 'r', false) AS is_copied,
  has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid) AS all_rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_subscription_rel s ON s.srrelid = c.oid
WHERE n.nspname = 'tap_schema' AND c.relkind = 'r'
  AND c.relname IN ('schemas', 'tables', 'columns', 'keys', 'key_columns', 'datalink_service', 'datalink_parameter', 'generation')
ORDER BY 1
