-- The job queue: a schema for procrastinate, whose own SQL is run next, as tapdb_owner and with this schema alone on the search path.
-- That SQL names its objects without a schema.
-- requires: roles/tapdb_owner, roles/tapdb_service, schemas/tapdb
-- drop
DO $$
DECLARE
  thing record;
  tables text;
BEGIN
  IF to_regnamespace('tapdb_queue') IS NULL THEN
    RETURN;
  END IF;
  FOR thing IN
    SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'tapdb_queue'::regnamespace AND NOT t.tgisinternal
  LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', thing.tgname, thing.relation);
  END LOOP;
  FOR thing IN SELECT p.oid::regprocedure AS name FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'tapdb_queue'::regnamespace LOOP
    EXECUTE format('DROP FUNCTION %s', thing.name);
  END LOOP;
  SELECT string_agg(c.oid::regclass::text, ', ') INTO tables FROM pg_catalog.pg_class c
  WHERE c.relnamespace = 'tapdb_queue'::regnamespace AND c.relkind = 'r';
  IF tables IS NOT NULL THEN
    EXECUTE 'DROP TABLE ' || tables;
  END IF;
  FOR thing IN
    SELECT t.oid::regtype AS name FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE t.typnamespace = 'tapdb_queue'::regnamespace AND (t.typtype = 'e' OR c.relkind = 'c')
  LOOP
    EXECUTE format('DROP TYPE %s', thing.name);
  END LOOP;
  DROP SCHEMA tapdb_queue;
END
$$;
-- create
CREATE SCHEMA tapdb_queue AUTHORIZATION tapdb_owner;
GRANT USAGE ON SCHEMA tapdb_queue TO tapdb_service;
SELECT set_config('tapdb.search_path', current_setting('search_path'), true), set_config('tapdb.role', current_setting('role'), true),
  set_config('tapdb.messages', current_setting('client_min_messages'), true);
SET LOCAL ROLE tapdb_owner;
SET LOCAL search_path = tapdb_queue;
-- That plpgsql is there already is no news.
SET LOCAL client_min_messages = warning;
