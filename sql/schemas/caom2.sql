-- Observations, planes and artifacts in the words of CAOM 2.4: views over an ObsCore view, made by tapdb caom2 publish.
-- requires: roles/tapdb_owner, roles/tapdb_reader
-- drop
DROP SCHEMA IF EXISTS caom2;
-- create
CREATE SCHEMA caom2 AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA caom2 IS 'Observations, planes and artifacts: the Common Archive Observation Model 2.4.';
REVOKE ALL ON SCHEMA caom2 FROM PUBLIC;
GRANT USAGE ON SCHEMA caom2 TO tapdb_reader;
