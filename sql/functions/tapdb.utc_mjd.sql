-- UTC as Modified Julian Date of a Butler time (TAI nanoseconds since 1970-01-01 00:00:00 TAI), for t_min and t_max.
-- Within two units in the last place of astropy's Time.utc.mjd; NULL for NULL, as an unbounded timespan has. Not STRICT, so that it is inlined.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.utc_mjd_to_2016
-- drop
DROP FUNCTION IF EXISTS tapdb.utc_mjd(bigint);
-- create
CREATE FUNCTION tapdb.utc_mjd(tai_ns bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE WHEN tai_ns >= 1483228837000000000
  THEN 40587 + (tai_ns - 37000000000)::double precision / 86400000000000.0::double precision
  ELSE tapdb.utc_mjd_to_2016(tai_ns) END
$$;
ALTER FUNCTION tapdb.utc_mjd(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.utc_mjd(bigint) IS 'UTC as MJD (days) of a time in TAI nanoseconds since 1970.';
GRANT EXECUTE ON FUNCTION tapdb.utc_mjd(bigint) TO PUBLIC;
