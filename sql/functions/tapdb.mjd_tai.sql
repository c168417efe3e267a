-- A time as MJD in TAI. Microseconds of the input are kept: an MJD of our days steps by 0.6 microseconds.
-- tai_minus_utc is called twice, since its argument is TAI: with the largest number of leap seconds, then with those that may have been by then.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.tai_minus_utc
-- drop
DROP FUNCTION IF EXISTS tapdb.mjd_tai(timestamp with time zone);
-- create
CREATE FUNCTION tapdb.mjd_tai(at_utc timestamp with time zone) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
SELECT (40587 + (extract(epoch FROM at_utc) + tapdb.tai_minus_utc((extract(epoch FROM at_utc) * 1000000000)::bigint
  + 1000000000::bigint * tapdb.tai_minus_utc((extract(epoch FROM at_utc) * 1000000000)::bigint + 37000000000))) / 86400)::double precision
$$;
ALTER FUNCTION tapdb.mjd_tai(timestamp with time zone) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.mjd_tai(timestamp with time zone) IS 'MJD, TAI, of a time; PostgreSQL''s times are UTC.';
GRANT EXECUTE ON FUNCTION tapdb.mjd_tai(timestamp with time zone) TO PUBLIC;
