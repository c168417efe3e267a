-- Owner of everything that tapdb makes; nobody logs in as it. The role that migrates becomes a member, to hand objects over to it.
-- Roles belong to the whole cluster: one that is there already, for another database, is kept as it is. Two migrations in two
-- databases may come here at the same moment; the second then waits for the first to commit, however long that takes, since
-- nobody queues behind it.
-- drop
DO $$
DECLARE
  holder text;
  dependants text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tapdb_owner') THEN
    RETURN;
  END IF;
  -- DROP ROLE takes memberships away without a word, hence the question.
  SELECT member::regrole::text INTO holder FROM pg_catalog.pg_auth_members
  WHERE roleid = 'tapdb_owner'::regrole AND member <> current_user::regrole LIMIT 1;
  IF FOUND THEN
    RAISE NOTICE 'role tapdb_owner is kept: % is a member of it', holder;
    RETURN;
  END IF;
  DROP ROLE tapdb_owner;
EXCEPTION
  WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    GET STACKED DIAGNOSTICS dependants = PG_EXCEPTION_DETAIL;
    RAISE NOTICE 'role tapdb_owner is kept: %', concat_ws(': ', SQLERRM, dependants);
END
$$;
-- create
DO $$
DECLARE
  patience text := current_setting('lock_timeout');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tapdb_owner') THEN
    PERFORM set_config('lock_timeout', '0', true);
    CREATE ROLE tapdb_owner NOLOGIN;
    COMMENT ON ROLE tapdb_owner IS 'Owns the database objects of tapdb.';
    PERFORM set_config('lock_timeout', patience, true);
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN
    RAISE DEBUG 'role tapdb_owner was made by another session';
END
$$;
-- Needed are both the owner's rights and the right to hand over to it, which PostgreSQL 16 parted.
DO $$
BEGIN
  IF current_setting('server_version_num')::int < 160000 THEN
    IF NOT pg_has_role('tapdb_owner', 'USAGE') THEN
      GRANT tapdb_owner TO CURRENT_USER;
    END IF;
  ELSIF NOT pg_has_role('tapdb_owner', 'USAGE') OR NOT pg_has_role('tapdb_owner', 'SET') THEN
    EXECUTE 'GRANT tapdb_owner TO CURRENT_USER WITH INHERIT TRUE, SET TRUE';
  END IF;
EXCEPTION
  WHEN unique_violation THEN
    RAISE DEBUG 'membership was granted by another session';
END
$$;
