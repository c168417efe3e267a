-- The snapshot that the running transaction has begun, which nobody else sees: no row if it has written no versioned rows (ppdb_history.lock_clock). (snapshot_id).
SELECT snapshot_id FROM ppdb_history.clock
WHERE writer = pg_current_xact_id_if_assigned() AND current_setting('ppdb_history.written', true) = snapshot_id::text
