-- UTC as Modified Julian Date of a Butler time (TAI nanoseconds since 1970-01-01 00:00:00 TAI), for t_min and t_max.
-- Within one unit in the last place of astropy's Time.utc.mjd; NULL for NULL, as an unbounded timespan has. Not STRICT, so that it is inlined.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.tai_minus_utc
-- drop
DROP FUNCTION IF EXISTS tapdb.utc_mjd(bigint);
-- create
CREATE FUNCTION tapdb.utc_mjd(tai_ns bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT 40587 + (tai_ns - 1000000000::bigint * tapdb.tai_minus_utc(tai_ns))::double precision / 86400000000000.0::double precision
$$;
ALTER FUNCTION tapdb.utc_mjd(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.utc_mjd(bigint) IS 'UTC as MJD (days) of a time in TAI nanoseconds since 1970.';
GRANT EXECUTE ON FUNCTION tapdb.utc_mjd(bigint) TO PUBLIC;
