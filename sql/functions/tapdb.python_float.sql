-- A double as Python's str() writes it, for format strings of a Butler configuration: 30.0 where PostgreSQL writes 30.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.python_float(double precision);
-- create
CREATE FUNCTION tapdb.python_float(value double precision) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
  WHEN value::text ~ '[.eNI]' THEN CASE
    WHEN value = 'NaN' THEN 'nan' WHEN value = 'Infinity' THEN 'inf' WHEN value = '-Infinity' THEN '-inf'
    -- By way of text: the cast of a double to numeric keeps 15 digits only.
    WHEN abs(value) >= 1e15 AND abs(value) < 1e16 THEN
      value::text::numeric::text || CASE WHEN value = floor(value) THEN '.0' ELSE '' END
    ELSE value::text END
  ELSE value::text || '.0' END
$$;
ALTER FUNCTION tapdb.python_float(double precision) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.python_float(double precision) IS 'A double as Python writes it.';
GRANT EXECUTE ON FUNCTION tapdb.python_float(double precision) TO PUBLIC;
