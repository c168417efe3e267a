-- sha256 2f10d2c319f9eac3fd3a91272bf7eb6a470f783d3b20d02b0e71ff92764729ae
-- Role of services and their workers, besides tapdb_reader: grant both to the login of a service.
-- It writes jobs (tapdb.uws_job) and the queue (schema tapdb_queue), and nothing that is published.
-- Kept, shared and waited for like tapdb_owner.
-- drop
DO $$
DECLARE
  holder text;
  dependants text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tapdb_service') THEN
    RETURN;
  END IF;
  SELECT member::regrole::text INTO holder FROM pg_catalog.pg_auth_members
  WHERE roleid = 'tapdb_service'::regrole AND member <> current_user::regrole LIMIT 1;
  IF FOUND THEN
    RAISE NOTICE 'role tapdb_service is kept: % is a member of it', holder;
    RETURN;
  END IF;
  DROP ROLE tapdb_service;
EXCEPTION
  WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    GET STACKED DIAGNOSTICS dependants = PG_EXCEPTION_DETAIL;
    RAISE NOTICE 'role tapdb_service is kept: %', concat_ws(': ', SQLERRM, dependants);
END
$$;
-- create
DO $$
DECLARE
  patience text := current_setting('lock_timeout');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tapdb_service') THEN
    PERFORM set_config('lock_timeout', '0', true);
    CREATE ROLE tapdb_service NOLOGIN;
    COMMENT ON ROLE tapdb_service IS 'Runs jobs: writes them and the job queue. Grant it to the login of a service, beside tapdb_reader.';
    PERFORM set_config('lock_timeout', patience, true);
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN
    RAISE DEBUG 'role tapdb_service was made by another session';
END
$$;
