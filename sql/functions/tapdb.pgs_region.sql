-- pg_sphere polygon of a Butler region, for indexes and for views without geometry tables; see tapdb.footprint.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.footprint
-- drop
DROP FUNCTION IF EXISTS tapdb.pgs_region(text);
-- create
CREATE FUNCTION tapdb.pgs_region(region text) RETURNS public.spoly
LANGUAGE sql IMMUTABLE STRICT PARALLEL UNSAFE COST 700
AS $$
SELECT f.pgs_region FROM tapdb.footprint(region) f
$$;
ALTER FUNCTION tapdb.pgs_region(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.pgs_region(text) IS 'pg_sphere polygon of a Butler region; NULL if it is not a ConvexPolygon that pg_sphere takes.';
GRANT EXECUTE ON FUNCTION tapdb.pgs_region(text) TO PUBLIC;
