-- After the last downgrade: the version table goes, and its schema unless somebody else keeps something in it.
DROP TABLE IF EXISTS tapdb.alembic_version;
DO $$
DECLARE
  dependants text;
BEGIN
  DROP SCHEMA tapdb;
EXCEPTION
  WHEN dependent_objects_still_exist THEN
    GET STACKED DIAGNOSTICS dependants = PG_EXCEPTION_DETAIL;
    RAISE NOTICE 'schema tapdb is kept: %', dependants;
END
$$;
