-- sha256 99dd9928d9e7dd8a1a8afcc8ff5e3b69952d00b33cacdf3e4186d8ed77aec4ff
-- Put a job into the queue, in the transaction of the caller: it is there if that commits, and workers are told then.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_service
-- drop
DROP FUNCTION IF EXISTS tapdb.defer_job(text, jsonb, text, integer, text, text, timestamptz);
-- create
CREATE FUNCTION tapdb.defer_job(
  task text, args jsonb DEFAULT '{}', queue text DEFAULT 'default', priority integer DEFAULT 0,
  run_alone text DEFAULT NULL, wait_alone text DEFAULT NULL, not_before timestamptz DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
  RETURN (tapdb_queue.procrastinate_defer_jobs_v1(
    ARRAY[ROW(queue, task, priority, run_alone, wait_alone, args, not_before)::tapdb_queue.procrastinate_job_to_defer_v1]
  ))[1];
END
$$;
COMMENT ON FUNCTION tapdb.defer_job(text, jsonb, text, integer, text, text, timestamptz) IS 'Number of a new job. Of those with the same run_alone one runs at a time; of those with the same wait_alone one waits.';
ALTER FUNCTION tapdb.defer_job(text, jsonb, text, integer, text, text, timestamptz) OWNER TO tapdb_owner;
REVOKE ALL ON FUNCTION tapdb.defer_job(text, jsonb, text, integer, text, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.defer_job(text, jsonb, text, integer, text, text, timestamptz) TO tapdb_service;
