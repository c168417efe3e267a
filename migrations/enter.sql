-- Before the first revision: the schema that Alembic's version table goes to.
DO $$
BEGIN
  IF to_regnamespace('tapdb') IS NULL THEN
    CREATE SCHEMA tapdb;
  END IF;
END
$$;
