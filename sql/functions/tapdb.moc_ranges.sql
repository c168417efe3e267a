-- Ranges of a MOC: what core PostgreSQL can unite, intersect and subtract. Numbers of cells of order 29, NESTED, upper ends exclusive (MOC 2.0).
-- pg_sphere gives its intervals as text alone, and of which kind that is belongs to the session: it is as before afterwards.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.moc_ranges(public.smoc);
-- create
CREATE FUNCTION tapdb.moc_ranges(moc public.smoc) RETURNS int8multirange
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE COST 20
AS $$
DECLARE
  intervals text := moc::text;
BEGIN
  IF intervals NOT LIKE '{%' THEN
    PERFORM public.set_smoc_output_type(1);
    intervals := moc::text;
    PERFORM public.set_smoc_output_type(0);
  END IF;
  RETURN replace(replace(intervals, ' ', ''), ')[', '),[')::int8multirange;
END
$$;
ALTER FUNCTION tapdb.moc_ranges(public.smoc) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.moc_ranges(public.smoc) IS 'Ranges of a MOC of pg_sphere: cells of order 29, NESTED.';
GRANT EXECUTE ON FUNCTION tapdb.moc_ranges(public.smoc) TO PUBLIC;
