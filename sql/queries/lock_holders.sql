-- Who holds locks on tables and views of this database, longest transaction first: (pid, who, since, relations).
SELECT a.pid,
  concat_ws(', ', 'user ' || a.usename, 'application ' || nullif(a.application_name, ''), a.state) AS who,
  to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ') AS since,
  string_agg(DISTINCT format('%I.%I', n.nspname, c.relname), ', ') AS relations
FROM pg_locks l
  JOIN pg_stat_activity a ON a.pid = l.pid
  JOIN pg_class c ON c.oid = l.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.pid <> pg_backend_pid() AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
GROUP BY a.pid, a.usename, a.application_name, a.state, a.xact_start
ORDER BY a.xact_start
LIMIT 5
