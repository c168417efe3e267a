-- A MOC as pg_sphere has it, for its operators and indexes: of ranges of order 29, in cells of an order and of lower ones.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.moc_smoc(int8multirange, integer);
-- create
CREATE FUNCTION tapdb.moc_smoc(moc int8multirange, "order" integer) RETURNS public.smoc
LANGUAGE sql IMMUTABLE STRICT PARALLEL UNSAFE COST 1000
AS $$
SELECT public.smoc_degrade("order", ('29/' || coalesce(string_agg(
  CASE WHEN upper(r) - lower(r) = 1 THEN lower(r)::text ELSE lower(r) || '-' || upper(r) - 1 END, ',' ORDER BY lower(r)), ''))::public.smoc)
FROM unnest(moc) r
$$;
ALTER FUNCTION tapdb.moc_smoc(int8multirange, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.moc_smoc(int8multirange, integer) IS 'A MOC of pg_sphere, of ranges of order 29.';
GRANT EXECUTE ON FUNCTION tapdb.moc_smoc(int8multirange, integer) TO PUBLIC;
