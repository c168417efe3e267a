-- sha256 3321c31898a8aa36bbe8d19b98330eb58b40f8ce69a2c1dad3f552d20d2950a6
-- Prompt products: DiaObject, DiaSource and their kin. A schema of this name that is there already, with the tables of dax_ppdb, stays as it is and whose it is.
-- requires: roles/tapdb_owner
-- drop
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'ppdb' AND nspowner = 'tapdb_owner'::regrole) THEN
    DROP SCHEMA ppdb;
  END IF;
END
$$;
-- create
DO $$
BEGIN
  IF to_regnamespace('ppdb') IS NULL THEN
    CREATE SCHEMA ppdb AUTHORIZATION tapdb_owner;
    COMMENT ON SCHEMA ppdb IS 'Prompt Products Database: versioned tables copied from the APDB.';
    REVOKE ALL ON SCHEMA ppdb FROM PUBLIC;
  END IF;
END
$$;
