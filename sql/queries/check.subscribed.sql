-- Tables that logical replication writes, whose changes fire no statement trigger: (schema, name, subscription).
SELECT n.nspname AS schema, c.relname AS name, s.subname AS subscription
FROM pg_subscription_rel r
  JOIN pg_subscription s ON s.oid = r.srsubid
  JOIN pg_class c ON c.oid = r.srrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2, 3
