-- sha256 f11bd37384dac24b78a809d0d485130284c2faa81e1516cadf21565cedc2c839
-- Prompt products: DiaObject, DiaSource and their kin.
-- requires: roles/tapdb_owner
-- drop
DROP SCHEMA IF EXISTS ppdb;
-- create
CREATE SCHEMA ppdb AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA ppdb IS 'Prompt Products Database: versioned tables copied from the APDB.';
REVOKE ALL ON SCHEMA ppdb FROM PUBLIC;
