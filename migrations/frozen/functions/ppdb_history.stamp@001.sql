-- sha256 3fed7cf51b41c42913d484ed376ed6ed24b954e433ea5064cd3faa34681e4c31
-- Trigger function, BEFORE UPDATE, FOR EACH ROW WHEN something changes in it: the row is a new version. A row that is written as it was stays the version it is.
-- requires: functions/ppdb_history.writing
-- drop
DROP FUNCTION IF EXISTS ppdb_history.stamp();
-- create
CREATE FUNCTION ppdb_history.stamp() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  NEW.snap_from := ppdb_history.writing();
  RETURN NEW;
END
$$;
ALTER FUNCTION ppdb_history.stamp() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.stamp() IS 'Trigger function that makes a changed row a new version.';
REVOKE ALL ON FUNCTION ppdb_history.stamp() FROM PUBLIC;
