-- A MOC in coarser cells: those of an order that it touches (MOC 2.0 section 2.2). Ranges of order 29, NESTED.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.moc_degrade(int8multirange, integer);
-- create
CREATE FUNCTION tapdb.moc_degrade(moc int8multirange, "order" integer) RETURNS int8multirange
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
SELECT coalesce(range_agg(int8range(
  lower(r) >> (58 - 2 * "order") << (58 - 2 * "order"),
  ((upper(r) - 1) >> (58 - 2 * "order")) + 1 << (58 - 2 * "order"))), '{}')
FROM unnest(moc) r
$$;
ALTER FUNCTION tapdb.moc_degrade(int8multirange, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.moc_degrade(int8multirange, integer) IS 'A MOC in the cells of a lower order that it touches.';
GRANT EXECUTE ON FUNCTION tapdb.moc_degrade(int8multirange, integer) TO PUBLIC;
