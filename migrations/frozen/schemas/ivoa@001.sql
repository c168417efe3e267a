-- sha256 e905983be0d5de4b50499209f09f20e2aac721808989284bdab456300132ddbc
-- Tables that the IVOA defines: ObsCore and what follows its pattern.
-- requires: roles/tapdb_owner
-- drop
DROP SCHEMA IF EXISTS ivoa;
-- create
CREATE SCHEMA ivoa AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA ivoa IS 'IVOA data models served through TAP: ivoa.ObsCore.';
REVOKE ALL ON SCHEMA ivoa FROM PUBLIC;
