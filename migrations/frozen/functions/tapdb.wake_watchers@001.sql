-- sha256 1008dcd15ca184953531006ae7cf386002d849f9c4dc0e94108788b01ba1c0bf
-- Trigger function, on tapdb.journal, at the commit: sends a NOTIFY to those who watch, once a transaction. It only wakes them; the journal is the truth.
-- COMMIT fails if the queue of notifications is full, because somebody listens in a transaction that does not end. So none is sent from half of
-- it on (setting tapdb.notify_below): who watches looks by the clock as well. Nothing here reads a table, which somebody could have locked.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.wake_watchers();
-- create
CREATE FUNCTION tapdb.wake_watchers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ours CONSTANT text := pg_current_xact_id()::text;
BEGIN
  IF current_setting('tapdb.has_woken', true) IS NOT DISTINCT FROM ours THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('tapdb.has_woken', ours, true);
  IF pg_notification_queue_usage() < coalesce(nullif(current_setting('tapdb.notify_below', true), '')::double precision, 0.5) THEN
    PERFORM pg_notify('tapdb_journal', '');
  END IF;
  RETURN NULL;
EXCEPTION WHEN program_limit_exceeded OR object_not_in_prerequisite_state OR data_exception OR syntax_error_or_access_rule_violation THEN
  RAISE WARNING 'tapdb could not wake those who watch: %', SQLERRM USING HINT = 'They look at the journal by the clock as well.';
  RETURN NULL;
END
$$;
ALTER FUNCTION tapdb.wake_watchers() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.wake_watchers() IS 'Trigger function that tells those who watch of a commit.';
REVOKE ALL ON FUNCTION tapdb.wake_watchers() FROM PUBLIC;
