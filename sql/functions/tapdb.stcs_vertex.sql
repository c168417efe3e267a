-- One vertex of an STC-S polygon: ' longitude latitude' in degrees with six decimals, as Python's '%.6f' writes them.
-- That includes '-0.000000' for what is negative and rounds to zero, which PostgreSQL's numeric has not.
-- Not STRICT, so that it is inlined; for that the arguments have to be variables, and numbers to be cast: || between text and numbers
-- counts as STABLE.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.stcs_vertex(double precision, double precision);
-- create
CREATE FUNCTION tapdb.stcs_vertex(lon_deg double precision, lat_deg double precision) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE WHEN abs(lon_deg) >= 5e-7 AND abs(lat_deg) >= 5e-7
  THEN ' ' || round(lon_deg::numeric, 6)::text || ' ' || round(lat_deg::numeric, 6)::text
  ELSE ' ' || CASE WHEN lon_deg::text LIKE '-%' THEN '-' ELSE '' END || round(abs(lon_deg)::numeric, 6)::text
    || ' ' || CASE WHEN lat_deg::text LIKE '-%' THEN '-' ELSE '' END || round(abs(lat_deg)::numeric, 6)::text END
$$;
ALTER FUNCTION tapdb.stcs_vertex(double precision, double precision) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.stcs_vertex(double precision, double precision) IS 'One vertex of an STC-S polygon, degrees with six decimals.';
GRANT EXECUTE ON FUNCTION tapdb.stcs_vertex(double precision, double precision) TO PUBLIC;
