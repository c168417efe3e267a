-- A double with a fixed number of decimals, as Python's format(value, '.2f') writes it: the exact binary value, rounded half to even.
-- PostgreSQL's cast of a double to numeric keeps 15 digits: 2.675 is below its decimal text and 0.125 lies between two.
-- A double is mantissa * 2^exponent; numeric multiplies, divides and raises whole numbers exactly. Below 2^-(52 + 4 * places) all is zero.
-- Not STRICT, so that the body can be inlined; NULL gives NULL.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.python_fixed(double precision, integer);
-- create
CREATE FUNCTION tapdb.python_fixed(value double precision, places integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 20
AS $$
SELECT CASE
  WHEN value = 'NaN' THEN 'nan' WHEN value = 'Infinity' THEN 'inf' WHEN value = '-Infinity' THEN '-inf'
  ELSE (
    SELECT CASE WHEN bits < 0 THEN '-' ELSE '' END || ((
      CASE WHEN twice_rest > divisor OR (twice_rest = divisor AND mod(whole, 2) = 1) THEN whole + 1 ELSE whole END
    ) * ('1e-' || places)::numeric)::text
    FROM (SELECT ('x' || encode(float8send(value), 'hex'))::bit(64)::bigint AS bits) b,
      LATERAL (SELECT ((bits >> 52) & 2047)::integer AS biased, bits & 4503599627370495 AS fraction) p,
      LATERAL (SELECT
        CASE WHEN biased = 0 THEN fraction ELSE fraction | 4503599627370496 END AS mantissa,
        greatest(biased, 1) - 1075 AS exponent) m,
      LATERAL (SELECT
        CASE WHEN exponent < -104 - 4 * places THEN 0 ELSE mantissa END
          * trunc(power(10::numeric, places)) * trunc(power(2::numeric, greatest(exponent, 0))) AS scaled,
        trunc(power(2::numeric, least(greatest(-exponent, 0), 104 + 4 * places))) AS divisor) s,
      LATERAL (SELECT div(scaled, divisor) AS whole, 2 * mod(scaled, divisor) AS twice_rest) q
  ) END
$$;
ALTER FUNCTION tapdb.python_fixed(double precision, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.python_fixed(double precision, integer) IS 'A double with a fixed number of decimals as Python writes it.';
GRANT EXECUTE ON FUNCTION tapdb.python_fixed(double precision, integer) TO PUBLIC;
