-- UTC as Modified Julian Date of a Butler time before 2017-01-01 00:00:00 UTC, as astropy (ERFA) counts: a day that ends with a leap second has
-- 86401 seconds, all of equal length in MJD. Called by tapdb.utc_mjd, which is inlined and does later times itself.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.tai_minus_utc
-- drop
DROP FUNCTION IF EXISTS tapdb.utc_mjd_to_2016(bigint);
-- create
CREATE FUNCTION tapdb.utc_mjd_to_2016(tai_ns bigint) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
  seconds_off CONSTANT bigint := tapdb.tai_minus_utc(tai_ns);
  utc_ns bigint;
  day bigint;
BEGIN
  IF tai_ns < 0 THEN
    -- Before Butler's times begin; far from any leap second and, as a double, from overflow.
    RETURN 40587 + (tai_ns::double precision - 10000000000) / 86400000000000.0::double precision;
  END IF;
  utc_ns := tai_ns - 1000000000 * seconds_off;
  day := utc_ns / 86400000000000;
  IF tapdb.tai_minus_utc(tai_ns + 1000000000) > seconds_off THEN
    -- Within the leap second: by plain arithmetic it is the next day's first.
    RETURN 40587 + (day - 1) + (utc_ns - (day - 1) * 86400000000000)::double precision / 86401000000000.0::double precision;
  ELSIF tapdb.tai_minus_utc(tai_ns + 86401000000000) > seconds_off THEN
    RETURN 40587 + day + (utc_ns - day * 86400000000000)::double precision / 86401000000000.0::double precision;
  END IF;
  RETURN 40587 + utc_ns::double precision / 86400000000000.0::double precision;
END
$$;
ALTER FUNCTION tapdb.utc_mjd_to_2016(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.utc_mjd_to_2016(bigint) IS 'UTC as MJD (days) of a time in TAI nanoseconds since 1970, before 2017.';
GRANT EXECUTE ON FUNCTION tapdb.utc_mjd_to_2016(bigint) TO PUBLIC;
