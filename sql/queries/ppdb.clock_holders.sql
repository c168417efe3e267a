-- Who keeps others from writing versioned rows: (relations, who, since, waits_s, prepared, has_clock). prepared is the name of a prepared transaction, NULL for a session; who and
-- since can be NULL for one who may not see the sessions of others. A session counts if it holds the clock, and waits for nobody itself.
WITH ours AS (
  SELECT 'ppdb_history.clock'::regclass AS relation
  UNION
  SELECT relation FROM ppdb_history.versioned_table t CROSS JOIN LATERAL (VALUES (to_regclass(format('%I.%I', t.table_schema, t.table_name))),
    (to_regclass(format('ppdb_history.%I', t.table_name))), (to_regclass(format('ppdb_history.%I', t.table_name || '_closed')))) part (relation)
), held AS (
  SELECT l.virtualtransaction, l.pid, bool_or(l.relation = 'ppdb_history.clock'::regclass) AS has_clock,
    string_agg(DISTINCT l.relation::regclass::text, ', ') AS relations
  FROM pg_locks l JOIN ours ON ours.relation = l.relation
  WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.mode NOT IN ('AccessShareLock', 'ShareUpdateExclusiveLock') AND l.pid IS DISTINCT FROM pg_backend_pid()
  GROUP BY l.virtualtransaction, l.pid
)
SELECT h.relations, 'user ' || p.owner AS who, to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SS TZ') AS since,
  extract(epoch FROM clock_timestamp() - p.prepared)::double precision AS waits_s, p.gid AS prepared, h.has_clock
FROM held h JOIN pg_locks own ON own.virtualtransaction = h.virtualtransaction AND own.locktype = 'transactionid' AND own.granted
  JOIN pg_prepared_xacts p ON p.transaction = own.transactionid AND p.database = current_database()
WHERE h.pid IS NULL
UNION ALL
SELECT h.relations, concat_ws(', ', 'process ' || h.pid, 'user ' || a.usename, 'application ' || nullif(a.application_name, ''), a.state),
  to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'), extract(epoch FROM clock_timestamp() - a.xact_start)::double precision, NULL, true
FROM held h JOIN pg_stat_activity a ON a.pid = h.pid
WHERE h.has_clock AND NOT EXISTS (SELECT FROM pg_locks wanted WHERE wanted.pid = h.pid AND NOT wanted.granted)
ORDER BY 3, 1
