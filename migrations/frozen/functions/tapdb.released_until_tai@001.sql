-- sha256 85cd36481b87a745673a161e4828c6d379cc96083863cc380349c2b51e366445
-- The same as tapdb.released_until_mjd_tai, for tables whose times are timestamps (TAI).
-- requires: functions/tapdb.released_until_mjd_tai
-- drop
DROP FUNCTION IF EXISTS tapdb.released_until_tai(text, text, double precision);
-- create
CREATE FUNCTION tapdb.released_until_tai(table_schema text, table_name text, embargo_hours double precision) RETURNS timestamp without time zone
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
  SELECT CASE WHEN r.until = 'infinity'::double precision THEN 'infinity'::timestamp ELSE timestamp '1858-11-17 00:00' + r.until * interval '1 day' END
  FROM (SELECT tapdb.released_until_mjd_tai(table_schema, table_name, embargo_hours) AS until) r);
ALTER FUNCTION tapdb.released_until_tai(text, text, double precision) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.released_until_tai(text, text, double precision) IS 'Until when rows of a table are released for the role that reads (TAI).';
GRANT EXECUTE ON FUNCTION tapdb.released_until_tai(text, text, double precision) TO PUBLIC;
