-- UTC as ISO 8601 text with six decimals of a Butler time (TAI nanoseconds since 1970-01-01 00:00:00 TAI): astropy's Time.utc.isot.
-- Rounded to the microsecond, halves upwards. NULL for NULL.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.tai_minus_utc
-- drop
DROP FUNCTION IF EXISTS tapdb.utc_isot(bigint);
-- create
CREATE FUNCTION tapdb.utc_isot(tai_ns bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT to_char(
  timestamp 'epoch' + ((tai_ns + 500) / 1000 - 1000000::bigint * tapdb.tai_minus_utc(tai_ns)) * interval '1 microsecond',
  'YYYY-MM-DD"T"HH24:MI:SS.US')
$$;
ALTER FUNCTION tapdb.utc_isot(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.utc_isot(bigint) IS 'UTC as YYYY-MM-DDThh:mm:ss.ffffff of a time in TAI nanoseconds since 1970.';
GRANT EXECUTE ON FUNCTION tapdb.utc_isot(bigint) TO PUBLIC;
