-- Internals of tapdb: the functions behind the views, what each view was made from, Alembic's version table.
-- Everyone may look up names in it: functions in a view, a trigger or an index of Butler's run with the rights of the role that
-- reads or ingests, and those that call each other by name would fail. No table in it is granted to anyone.
-- Alembic's version table comes before and goes after everything else, hence a schema that may be there already, and one that
-- is only handed back if that table is still in it.
-- requires: roles/tapdb_owner
-- drop
DO $$
BEGIN
  IF to_regclass('tapdb.alembic_version') IS NULL THEN
    DROP SCHEMA IF EXISTS tapdb;
  ELSE
    ALTER SCHEMA tapdb OWNER TO CURRENT_USER;
    ALTER TABLE tapdb.alembic_version OWNER TO CURRENT_USER;
  END IF;
END
$$;
-- create
DO $$
BEGIN
  IF to_regnamespace('tapdb') IS NULL THEN
    CREATE SCHEMA tapdb;
  END IF;
END
$$;
ALTER SCHEMA tapdb OWNER TO tapdb_owner;
COMMENT ON SCHEMA tapdb IS 'Internals of tapdb: functions, view definitions, schema version.';
GRANT USAGE ON SCHEMA tapdb TO PUBLIC;
DO $$
BEGIN
  IF to_regclass('tapdb.alembic_version') IS NOT NULL THEN
    ALTER TABLE tapdb.alembic_version OWNER TO tapdb_owner;
    COMMENT ON TABLE tapdb.alembic_version IS 'Version of this database (Alembic).';
    COMMENT ON COLUMN tapdb.alembic_version.version_num IS 'Identifier of the revision.';
  END IF;
END
$$;
