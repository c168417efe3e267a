-- sha256 5953a8be9cbd51a57f6ac32456122d8e4f23b2235176782bc970fbd4880aa40f
-- Take a job out of the queue if it waits, and tell its worker to end it if it runs, when the transaction of the caller commits.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_service
-- drop
DROP FUNCTION IF EXISTS tapdb.cancel_job(bigint);
-- create
CREATE FUNCTION tapdb.cancel_job(job bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
  RETURN tapdb_queue.procrastinate_cancel_job_v1(job, true, false) IS NOT NULL;
END
$$;
COMMENT ON FUNCTION tapdb.cancel_job(bigint) IS 'Whether the job waited or ran: it will not begin, or its worker is told to end it.';
ALTER FUNCTION tapdb.cancel_job(bigint) OWNER TO tapdb_owner;
REVOKE ALL ON FUNCTION tapdb.cancel_job(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.cancel_job(bigint) TO tapdb_service;
