-- Subscriptions of this database, as far as anybody may read them, with the schemas that they write and how they fare.
SELECT s.subname AS name, s.subenabled AS is_enabled, s.subslotname::text AS slot, s.subpublications[1] AS publication,
  n.nspname AS schema, r.tables, r.copying, w.pid IS NOT NULL AS runs,
  extract(epoch FROM clock_timestamp() - a.backend_start)::float8 AS worker_s,
  extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time)::float8 AS silent_s,
  t.apply_error_count AS apply_errors, t.sync_error_count AS copy_errors
FROM pg_catalog.pg_subscription s
JOIN LATERAL (
  SELECT c.relnamespace, count(*) AS tables, count(*) FILTER (WHERE r.srsubstate <> 'r') AS copying
  FROM pg_catalog.pg_subscription_rel r JOIN pg_catalog.pg_class c ON c.oid = r.srrelid
  WHERE r.srsubid = s.oid GROUP BY c.relnamespace
) r ON true
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
LEFT JOIN pg_catalog.pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid
LEFT JOIN pg_catalog.pg_stat_subscription_stats t ON t.subid = s.oid
WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND s.subname LIKE 'tapdb\_%'
ORDER BY s.subname, n.nspname
