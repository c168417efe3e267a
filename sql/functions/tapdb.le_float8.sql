-- The IEEE 754 double that stands little-endian at a byte offset of a binary string.
-- sphgeom writes the components of unit vectors so; only |x| < 2 is decoded: smaller than 2^-79 reads as 0 and anything else as NaN,
-- so that no arithmetic on the result can overflow or underflow (PostgreSQL raises for both).
-- Not STRICT and without FROM on purpose: either would keep PostgreSQL from inlining the body (6 to 30 times slower).
-- `<<` and `|` bind equally in PostgreSQL, hence the parentheses.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.le_float8(bytea, integer);
-- create
CREATE FUNCTION tapdb.le_float8(b bytea, o integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
AS $$
SELECT CASE WHEN (get_byte(b, o + 7) & 127) BETWEEN 59 AND 63 THEN
  ((((get_byte(b, o + 6) & 15) | 16)::bigint << 48) | (get_byte(b, o + 5)::bigint << 40) | (get_byte(b, o + 4)::bigint << 32)
   | (get_byte(b, o + 3)::bigint << 24) | ((get_byte(b, o + 2) << 16) | (get_byte(b, o + 1) << 8) | get_byte(b, o))::bigint)::double precision
  * power(2::double precision, (((get_byte(b, o + 7) & 127) << 4) | (get_byte(b, o + 6) >> 4)) - 1075)
  * (CASE WHEN get_byte(b, o + 7) > 127 THEN -1 ELSE 1 END)::double precision
  WHEN (get_byte(b, o + 7) & 127) < 59 THEN 0::double precision
  ELSE 'NaN'::double precision END
$$;
ALTER FUNCTION tapdb.le_float8(bytea, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.le_float8(bytea, integer) IS 'Little-endian IEEE 754 double at a byte offset, for values below 2 in magnitude; NaN for any other.';
GRANT EXECUTE ON FUNCTION tapdb.le_float8(bytea, integer) TO PUBLIC;
