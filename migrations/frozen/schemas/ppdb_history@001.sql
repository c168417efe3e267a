-- sha256 70dcae97986a5b0db70685a1be4b4ed3befa1ca4b4d911adb02519041b0e7263
-- What the PPDB was: all versions of its rows, and the clock that numbers the transactions which made them.
-- requires: roles/tapdb_owner
-- drop
DROP SCHEMA IF EXISTS ppdb_history;
-- create
CREATE SCHEMA ppdb_history AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA ppdb_history IS 'Prompt Products Database as of any snapshot: all versions of all rows, and the clock.';
REVOKE ALL ON SCHEMA ppdb_history FROM PUBLIC;
-- Writers touch the versions only through triggers, but the default of snap_from is looked up with their rights.
GRANT USAGE ON SCHEMA ppdb_history TO PUBLIC;
