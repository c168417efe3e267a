-- What the reader may do: use the published schemas and read what tapdb_owner has or will have in them.
-- requires: roles/tapdb_owner, roles/tapdb_reader, schemas/ivoa, schemas/tap_schema, schemas/ppdb, schemas/ppdb_history
-- drop
ALTER DEFAULT PRIVILEGES FOR ROLE tapdb_owner IN SCHEMA ivoa, tap_schema, ppdb, ppdb_history REVOKE SELECT ON TABLES FROM tapdb_reader;
REVOKE USAGE ON SCHEMA ivoa, tap_schema, ppdb, ppdb_history FROM tapdb_reader;
DO $$
DECLARE
  relation regclass;
BEGIN
  FOR relation IN
    SELECT c.oid FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relowner = 'tapdb_owner'::regrole
      AND c.relnamespace::regnamespace::text IN ('ivoa', 'tap_schema', 'ppdb', 'ppdb_history')
  LOOP
    EXECUTE format('REVOKE SELECT ON TABLE %s FROM tapdb_reader', relation);
  END LOOP;
END
$$;
-- create
GRANT USAGE ON SCHEMA ivoa, tap_schema, ppdb, ppdb_history TO tapdb_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE tapdb_owner IN SCHEMA ivoa, tap_schema, ppdb, ppdb_history GRANT SELECT ON TABLES TO tapdb_reader;
DO $$
DECLARE
  relation regclass;
BEGIN
  FOR relation IN
    SELECT c.oid FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relowner = 'tapdb_owner'::regrole
      AND c.relnamespace::regnamespace::text IN ('ivoa', 'tap_schema', 'ppdb', 'ppdb_history')
  LOOP
    EXECUTE format('GRANT SELECT ON TABLE %s TO tapdb_reader', relation);
  END LOOP;
END
$$;
