-- Prompt products: DiaObject, DiaSource and their kin.
-- requires: roles/tapdb_owner
-- drop
DROP SCHEMA IF EXISTS ppdb;
-- create
CREATE SCHEMA ppdb AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA ppdb IS 'Prompt Products Database: versioned tables copied from the APDB.';
REVOKE ALL ON SCHEMA ppdb FROM PUBLIC;
