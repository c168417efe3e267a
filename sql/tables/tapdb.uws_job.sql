-- Asynchronous jobs of services, by UWS 1.1. The queue knows when they run, this table what they are, whose, and what came of them.
-- Phases change by statements that name the phase before: of two sessions that change one job at once, one finds no row.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.uws_job;
-- create
CREATE TABLE tapdb.uws_job (
  job_id text NOT NULL,
  owner text,
  run_id text,
  phase text NOT NULL DEFAULT 'PENDING',
  parameters jsonb NOT NULL DEFAULT '[]',
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  started_at timestamp with time zone,
  ended_at timestamp with time zone,
  quote timestamp with time zone,
  destruction timestamp with time zone NOT NULL,
  execution_duration integer NOT NULL,
  queue_job bigint,
  attempts smallint NOT NULL DEFAULT 0,
  backend_pid integer,
  backend_start timestamp with time zone,
  error text,
  error_is_transient boolean,
  result jsonb,
  CONSTRAINT uws_job_pkey PRIMARY KEY (job_id),
  CONSTRAINT uws_job_phase_check CHECK (phase IN ('PENDING', 'QUEUED', 'EXECUTING', 'COMPLETED', 'ERROR', 'ABORTED')),
  CONSTRAINT uws_job_execution_duration_check CHECK (execution_duration >= 0)
);
CREATE INDEX uws_job_owner_idx ON tapdb.uws_job (owner, created_at DESC);
CREATE INDEX uws_job_destruction_idx ON tapdb.uws_job (destruction);
ALTER TABLE tapdb.uws_job OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.uws_job IS 'Asynchronous jobs of services (UWS 1.1).';
COMMENT ON COLUMN tapdb.uws_job.job_id IS 'Identifier, which nobody can guess.';
COMMENT ON COLUMN tapdb.uws_job.owner IS 'User who made it; NULL if nobody has logged in.';
COMMENT ON COLUMN tapdb.uws_job.run_id IS 'RUNID that the client gave.';
COMMENT ON COLUMN tapdb.uws_job.phase IS 'Phase of execution.';
COMMENT ON COLUMN tapdb.uws_job.parameters IS 'Pairs of name and value, in order.';
COMMENT ON COLUMN tapdb.uws_job.created_at IS 'When it was made.';
COMMENT ON COLUMN tapdb.uws_job.started_at IS 'When a worker began it, the last time.';
COMMENT ON COLUMN tapdb.uws_job.ended_at IS 'When it reached a phase that is final.';
COMMENT ON COLUMN tapdb.uws_job.quote IS 'When it is expected to be done; NULL if nobody knows.';
COMMENT ON COLUMN tapdb.uws_job.destruction IS 'When it is deleted, with its results.';
COMMENT ON COLUMN tapdb.uws_job.execution_duration IS 'Seconds that it may run; 0 is without limit.';
COMMENT ON COLUMN tapdb.uws_job.queue_job IS 'Number of the job in the queue.';
COMMENT ON COLUMN tapdb.uws_job.attempts IS 'How many times a worker began it.';
COMMENT ON COLUMN tapdb.uws_job.backend_pid IS 'Process of PostgreSQL that runs its query.';
COMMENT ON COLUMN tapdb.uws_job.backend_start IS 'When that process began: numbers of processes come again.';
COMMENT ON COLUMN tapdb.uws_job.error IS 'What went wrong, for its user.';
COMMENT ON COLUMN tapdb.uws_job.error_is_transient IS 'Whether the same job may succeed later.';
COMMENT ON COLUMN tapdb.uws_job.result IS 'Its result: type, rows, bytes, whether there were more rows.';
REVOKE ALL ON TABLE tapdb.uws_job FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE tapdb.uws_job TO tapdb_service;
