-- MOC of a polygon: all cells of an order that it touches, as ranges of order 29.
-- pg_sphere takes cells too many along the edges: 1.4 % of the area of a detector at order 11. Two orders finer and rounded up it is 0.4 %.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.moc_ranges
-- drop
DROP FUNCTION IF EXISTS tapdb.moc(public.spoly, integer);
-- create
CREATE FUNCTION tapdb.moc(region public.spoly, "order" integer) RETURNS int8multirange
LANGUAGE sql IMMUTABLE STRICT PARALLEL UNSAFE COST 1000
AS $$
SELECT tapdb.moc_ranges(public.smoc_degrade("order", public.smoc(least("order" + 2, 29), region)))
$$;
ALTER FUNCTION tapdb.moc(public.spoly, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.moc(public.spoly, integer) IS 'MOC of a polygon: the cells of an order that it touches, as ranges of order 29, NESTED.';
GRANT EXECUTE ON FUNCTION tapdb.moc(public.spoly, integer) TO PUBLIC;
