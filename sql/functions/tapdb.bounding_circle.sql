-- Bounding circle of a Butler region as {s_ra, s_dec, s_fov} in degrees, for views without geometry tables; see tapdb.footprint.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.footprint
-- drop
DROP FUNCTION IF EXISTS tapdb.bounding_circle(text);
-- create
CREATE FUNCTION tapdb.bounding_circle(region text) RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL UNSAFE COST 700
AS $$
SELECT ARRAY[f.s_ra, f.s_dec, f.s_fov] FROM tapdb.footprint(region) f
$$;
ALTER FUNCTION tapdb.bounding_circle(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.bounding_circle(text) IS 'Centre (ICRS) and diameter of the bounding circle of a Butler region, degrees.';
GRANT EXECUTE ON FUNCTION tapdb.bounding_circle(text) TO PUBLIC;
