-- Time of observation up to which the role that reads may see rows of a table whose release comes so many hours after it: infinity for all rows, NULL for none.
-- The rule itself is tapdb.release_instant, as for ObsCore views. Views call it in a subquery: once a query, not once a row.
-- requires: functions/tapdb.release_instant, functions/tapdb.mjd_tai
-- drop
DROP FUNCTION IF EXISTS tapdb.released_until_mjd_tai(text, text, double precision);
-- create
CREATE FUNCTION tapdb.released_until_mjd_tai(table_schema text, table_name text, embargo_hours double precision) RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
  SELECT CASE WHEN r.instant = 'infinity'::timestamp THEN 'infinity'::double precision ELSE tapdb.mjd_tai(r.instant AT TIME ZONE 'UTC') - embargo_hours / 24 END
  FROM (SELECT tapdb.release_instant(table_schema, table_name) AS instant) r);
ALTER FUNCTION tapdb.released_until_mjd_tai(text, text, double precision) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.released_until_mjd_tai(text, text, double precision) IS 'Until when rows of a table are released for the role that reads (MJD, TAI).';
GRANT EXECUTE ON FUNCTION tapdb.released_until_mjd_tai(text, text, double precision) TO PUBLIC;
