-- A MOC as text, in its ASCII form (MOC 2.0 section 4.3.2), of any kind of text that the session has set for pg_sphere.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.moc_text(public.smoc);
-- create
CREATE FUNCTION tapdb.moc_text(moc public.smoc) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE COST 1000
AS $$
DECLARE
  written text := moc::text;
BEGIN
  IF written LIKE '{%' THEN
    PERFORM public.set_smoc_output_type(0);
    written := moc::text;
    PERFORM public.set_smoc_output_type(1);
  END IF;
  RETURN written;
END
$$;
ALTER FUNCTION tapdb.moc_text(public.smoc) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.moc_text(public.smoc) IS 'A MOC in its ASCII form.';
GRANT EXECUTE ON FUNCTION tapdb.moc_text(public.smoc) TO PUBLIC;
