-- Area of a MOC in square degrees. All cells of an order have the same: the sphere has 12 * 4 ^ 29 of order 29.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.moc_area(int8multirange);
-- create
CREATE FUNCTION tapdb.moc_area(moc int8multirange) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 500
AS $$
SELECT coalesce(sum(upper(r) - lower(r)), 0)::double precision / (12 * 4 ^ 29::double precision) * (129600 / pi())
FROM unnest(moc) r
$$;
ALTER FUNCTION tapdb.moc_area(int8multirange) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.moc_area(int8multirange) IS 'Area of a MOC in square degrees.';
GRANT EXECUTE ON FUNCTION tapdb.moc_area(int8multirange) TO PUBLIC;
