-- sha256 426bb277d0363c59d5b6ad6fe5c156d9e2e3948d25f9f909798b1454accc3d9c
-- What follows procrastinate's own SQL: its functions find their tables from every session, services get their rights, and
-- the role and the search path are as they were.
-- requires: queue/tapdb_queue
-- drop
SELECT 'goes with the schema';
-- create
DO $$
DECLARE
  routine regprocedure;
BEGIN
  FOR routine IN SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'tapdb_queue'::regnamespace LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, tapdb_queue, pg_temp', routine);
  END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tapdb_queue TO tapdb_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA tapdb_queue TO tapdb_service;
SELECT set_config('search_path', current_setting('tapdb.search_path'), true), set_config('role', current_setting('tapdb.role'), true),
  set_config('client_min_messages', current_setting('tapdb.messages'), true);
