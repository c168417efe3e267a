-- Timestamp (UTC) of a Modified Julian Date in UTC, to the millisecond; for obs_release_date.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.mjd_timestamp(double precision);
-- create
CREATE FUNCTION tapdb.mjd_timestamp(utc_mjd double precision) RETURNS timestamp(3) without time zone
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT (timestamp '1858-11-17' + utc_mjd * interval '1 day')::timestamp(3)
$$;
ALTER FUNCTION tapdb.mjd_timestamp(double precision) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.mjd_timestamp(double precision) IS 'Timestamp (UTC) of an MJD (UTC, days).';
GRANT EXECUTE ON FUNCTION tapdb.mjd_timestamp(double precision) TO PUBLIC;
