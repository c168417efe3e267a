-- sha256 663de622f83127c0d47dd8fb65aa37b05597b983286b0c9d2fd1cc9238c0edff
-- UTC as ISO 8601 text with six decimals of a Butler time (TAI nanoseconds since 1970-01-01 00:00:00 TAI): astropy's Time.utc.isot.
-- Rounded to the microsecond, halves upwards; a leap second is second 60. NULL for NULL.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.tai_minus_utc
-- drop
DROP FUNCTION IF EXISTS tapdb.utc_isot(bigint);
-- create
CREATE FUNCTION tapdb.utc_isot(tai_ns bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
  tai_us CONSTANT bigint := tai_ns / 1000 + CASE WHEN tai_ns % 1000 >= 500 THEN 1 ELSE 0 END;
  seconds_off bigint := 37;
  utc timestamp;
BEGIN
  IF tai_us < 1483228837000000 THEN
    seconds_off := tapdb.tai_minus_utc(1000 * tai_us);
    IF tapdb.tai_minus_utc(1000 * tai_us + 1000000000) > seconds_off THEN
      utc := timestamp 'epoch' + (tai_us - 1000000 * (seconds_off + 1)) * interval '1 microsecond';
      RETURN to_char(utc, 'YYYY-MM-DD"T"HH24:MI:"60".US');
    END IF;
  END IF;
  utc := timestamp 'epoch' + (tai_us - 1000000 * seconds_off) * interval '1 microsecond';
  RETURN to_char(utc, 'YYYY-MM-DD"T"HH24:MI:SS.US');
END
$$;
ALTER FUNCTION tapdb.utc_isot(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.utc_isot(bigint) IS 'UTC as YYYY-MM-DDThh:mm:ss.ffffff of a time in TAI nanoseconds since 1970.';
GRANT EXECUTE ON FUNCTION tapdb.utc_isot(bigint) TO PUBLIC;
