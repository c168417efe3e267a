-- sha256 c3a4deeae3d353e240e7f1932a3fd24e736dd2bf066850e5b69a41b2760af19f
-- Makes the MOCs of kept regions that lack one, or whose outline has changed: those of a list, in the order of their numbers, so that two
-- sessions that make the same do not wait for each other in a circle. Returns how many it has made.
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.region_moc, functions/tapdb.moc
-- drop
DROP FUNCTION IF EXISTS tapdb.make_region_mocs(text, integer[]);
-- create
CREATE FUNCTION tapdb.make_region_mocs(region_table text, wanted integer[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  made bigint;
BEGIN
  EXECUTE format('
INSERT INTO tapdb.region_moc (regions, region, outline, moc)
SELECT $1, r.region, hashtextextended(r.outline, 0), tapdb.moc(r.pgs_region, 11)
FROM (SELECT DISTINCT u.region FROM unnest($2) u (region)) w JOIN tapdb.%I r ON r.region = w.region
WHERE r.pgs_region IS NOT NULL AND NOT EXISTS (
  SELECT FROM tapdb.region_moc m WHERE m.regions = $1 AND m.region = r.region AND m.outline = hashtextextended(r.outline, 0))
ORDER BY r.region
ON CONFLICT (regions, region) DO UPDATE SET outline = EXCLUDED.outline, moc = EXCLUDED.moc', region_table) USING region_table, wanted;
  GET DIAGNOSTICS made = ROW_COUNT;
  RETURN made;
END
$$;
ALTER FUNCTION tapdb.make_region_mocs(text, integer[]) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.make_region_mocs(text, integer[]) IS 'Makes the MOCs of kept regions that lack one; returns how many.';
REVOKE ALL ON FUNCTION tapdb.make_region_mocs(text, integer[]) FROM PUBLIC;
