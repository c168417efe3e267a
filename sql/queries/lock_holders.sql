-- Who holds locks on tables and views of this database, longest transaction first: (holder, who, since, relations). holder is a session, or a prepared transaction, which has none.
WITH held AS (
  SELECT l.virtualtransaction, l.pid, string_agg(DISTINCT format('%I.%I', n.nspname, c.relname), ', ') AS relations
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.pid IS DISTINCT FROM pg_backend_pid() AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  GROUP BY l.virtualtransaction, l.pid
), holders AS (
  SELECT format('pid %s', h.pid) AS holder, concat_ws(', ', 'user ' || a.usename, 'application ' || nullif(a.application_name, ''), a.state) AS who,
    a.xact_start AS begun, h.relations
  FROM held h JOIN pg_stat_activity a ON a.pid = h.pid
  UNION ALL
  SELECT format('prepared transaction %L, which COMMIT PREPARED or ROLLBACK PREPARED ends', p.gid), 'user ' || p.owner, p.prepared, h.relations
  FROM held h JOIN pg_locks own ON own.virtualtransaction = h.virtualtransaction AND own.locktype = 'transactionid' AND own.granted
    JOIN pg_prepared_xacts p ON p.transaction = own.transactionid
  WHERE h.pid IS NULL
)
SELECT holder, who, to_char(begun, 'YYYY-MM-DD HH24:MI:SS TZ') AS since, relations FROM holders
ORDER BY begun
LIMIT 5
