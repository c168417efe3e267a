-- TAI minus UTC in whole seconds at a Butler time (TAI nanoseconds since 1970-01-01 00:00:00 TAI): the leap seconds from 1972 to 2017.
-- 10 before 1972, when UTC was not yet in whole seconds of TAI; daf_butler's times begin in 1970. A new leap second means a new version
-- of this function, and of everything computed with it. Not STRICT, so that it is inlined.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.tai_minus_utc(bigint);
-- create
CREATE FUNCTION tapdb.tai_minus_utc(tai_ns bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
  WHEN tai_ns >= 1483228837000000000 THEN 37
  WHEN tai_ns >= 1435708836000000000 THEN 36
  WHEN tai_ns >= 1341100835000000000 THEN 35
  WHEN tai_ns >= 1230768034000000000 THEN 34
  WHEN tai_ns >= 1136073633000000000 THEN 33
  WHEN tai_ns >= 915148832000000000 THEN 32
  WHEN tai_ns >= 867715231000000000 THEN 31
  WHEN tai_ns >= 820454430000000000 THEN 30
  WHEN tai_ns >= 773020829000000000 THEN 29
  WHEN tai_ns >= 741484828000000000 THEN 28
  WHEN tai_ns >= 709948827000000000 THEN 27
  WHEN tai_ns >= 662688026000000000 THEN 26
  WHEN tai_ns >= 631152025000000000 THEN 25
  WHEN tai_ns >= 567993624000000000 THEN 24
  WHEN tai_ns >= 489024023000000000 THEN 23
  WHEN tai_ns >= 425865622000000000 THEN 22
  WHEN tai_ns >= 394329621000000000 THEN 21
  WHEN tai_ns >= 362793620000000000 THEN 20
  WHEN tai_ns >= 315532819000000000 THEN 19
  WHEN tai_ns >= 283996818000000000 THEN 18
  WHEN tai_ns >= 252460817000000000 THEN 17
  WHEN tai_ns >= 220924816000000000 THEN 16
  WHEN tai_ns >= 189302415000000000 THEN 15
  WHEN tai_ns >= 157766414000000000 THEN 14
  WHEN tai_ns >= 126230413000000000 THEN 13
  WHEN tai_ns >= 94694412000000000 THEN 12
  WHEN tai_ns >= 78796811000000000 THEN 11
  ELSE 10 END
$$;
ALTER FUNCTION tapdb.tai_minus_utc(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.tai_minus_utc(bigint) IS 'TAI minus UTC, in seconds, at a time in TAI nanoseconds since 1970.';
GRANT EXECUTE ON FUNCTION tapdb.tai_minus_utc(bigint) TO PUBLIC;
