-- sha256 7b48fe2e5272a8b2620c0a1a73b609e74c8b2a5ec15a5b43a9e120ae83bb79db
-- Role of TAP services and everyone else who only reads: grant it to the login of the service.
-- It reads ivoa, tap_schema and ppdb (grants/tapdb_reader), and no table of tapdb or of a Butler registry.
-- Kept, shared and waited for like tapdb_owner.
-- drop
DO $$
DECLARE
  holder text;
  dependants text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tapdb_reader') THEN
    RETURN;
  END IF;
  SELECT member::regrole::text INTO holder FROM pg_catalog.pg_auth_members
  WHERE roleid = 'tapdb_reader'::regrole AND member <> current_user::regrole LIMIT 1;
  IF FOUND THEN
    RAISE NOTICE 'role tapdb_reader is kept: % is a member of it', holder;
    RETURN;
  END IF;
  DROP ROLE tapdb_reader;
EXCEPTION
  WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    GET STACKED DIAGNOSTICS dependants = PG_EXCEPTION_DETAIL;
    RAISE NOTICE 'role tapdb_reader is kept: %', concat_ws(': ', SQLERRM, dependants);
END
$$;
-- create
DO $$
DECLARE
  patience text := current_setting('lock_timeout');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tapdb_reader') THEN
    PERFORM set_config('lock_timeout', '0', true);
    CREATE ROLE tapdb_reader NOLOGIN;
    COMMENT ON ROLE tapdb_reader IS 'Reads what tapdb publishes: schemas ivoa, tap_schema and ppdb. Grant it to the login of a TAP service.';
    PERFORM set_config('lock_timeout', patience, true);
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN
    RAISE DEBUG 'role tapdb_reader was made by another session';
END
$$;
