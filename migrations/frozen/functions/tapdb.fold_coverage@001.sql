-- sha256 7924bd326c5c12cbdebcec0d2424ce9fb71faf612b0ae25e030824ab5af6d571
-- Folds what has come to the coverage of a view into its rows, and returns how many notes it has taken; NULL if another session folds it.
-- Notes are computed and deleted by one statement, so by one snapshot: what is committed meanwhile stays for the next fold. Nobody else
-- changes the folded rows, and readers see them change at once with the notes.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_service, tables/tapdb.coverage_group, tables/tapdb.coverage_total, tables/tapdb.coverage_view
-- requires: functions/tapdb.coverage_changes, functions/tapdb.make_region_mocs, functions/tapdb.moc_area, functions/tapdb.moc_smoc
-- drop
DROP FUNCTION IF EXISTS tapdb.fold_coverage(text);
-- create
CREATE FUNCTION tapdb.fold_coverage(base text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  touched record;
  sums record;
  nights int8multirange;
  taken bigint := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock('tapdb.fold_coverage(text)'::regprocedure::oid::integer, hashtext(base)) THEN
    RETURN NULL;
  END IF;
  PERFORM tapdb.make_region_mocs(v.regions, array_agg(DISTINCT u.region))
  FROM tapdb.coverage_view v JOIN tapdb.coverage_delta e ON e.kept = v.kept, unnest(e.regions) u (region)
  WHERE v.kept = base GROUP BY v.regions;
  FOR touched IN
    WITH now AS MATERIALIZED (
      SELECT * FROM tapdb.coverage_changes(base)
    ), noted AS (
      DELETE FROM tapdb.coverage_delta e WHERE e.kept = base RETURNING e.delta
    ), lost AS (
      DELETE FROM tapdb.coverage_group f USING now n WHERE f.id = n.id AND n.datasets = 0
    ), changed AS (
      UPDATE tapdb.coverage_group f SET datasets = n.datasets, t_min = n.t_min, t_max = n.t_max, moc = n.moc, area = tapdb.moc_area(n.moc),
        pgs_moc = tapdb.moc_smoc(n.moc, 11)
      FROM now n WHERE f.id = n.id AND n.datasets > 0
    ), come AS (
      INSERT INTO tapdb.coverage_group (kept, type, instrument, band, day_obs, datasets, t_min, t_max, area, moc, pgs_moc)
      SELECT n.kept, n.type, n.instrument, n.band, n.day_obs, n.datasets, n.t_min, n.t_max, tapdb.moc_area(n.moc), n.moc, tapdb.moc_smoc(n.moc, 11)
      FROM now n WHERE n.id IS NULL AND n.datasets > 0
    )
    SELECT (SELECT count(*) FROM noted) AS notes, n.type, n.instrument, n.band, bool_or(n.is_again) AS is_again, range_agg(n.moc) AS moc
    FROM (SELECT 1) one LEFT JOIN now n ON true GROUP BY n.type, n.instrument, n.band
  LOOP
    taken := touched.notes;
    CONTINUE WHEN touched.type IS NULL;
    SELECT sum(p.datasets)::bigint AS datasets, min(p.t_min) AS t_min, max(p.t_max) AS t_max INTO sums
    FROM tapdb.coverage_group p
    WHERE p.kept = base AND p.type = touched.type AND p.instrument IS NOT DISTINCT FROM touched.instrument
      AND p.band IS NOT DISTINCT FROM touched.band;
    IF sums.datasets IS NULL THEN
      DELETE FROM tapdb.coverage_total f WHERE f.kept = base AND f.type = touched.type AND f.instrument IS NOT DISTINCT FROM touched.instrument
        AND f.band IS NOT DISTINCT FROM touched.band;
      CONTINUE;
    END IF;
    IF touched.is_again THEN
      SELECT range_agg(p.moc) INTO nights FROM tapdb.coverage_group p
      WHERE p.kept = base AND p.type = touched.type AND p.instrument IS NOT DISTINCT FROM touched.instrument
        AND p.band IS NOT DISTINCT FROM touched.band;
    ELSE
      SELECT f.moc + touched.moc INTO nights FROM tapdb.coverage_total f
      WHERE f.kept = base AND f.type = touched.type AND f.instrument IS NOT DISTINCT FROM touched.instrument
        AND f.band IS NOT DISTINCT FROM touched.band;
      nights := coalesce(nights, touched.moc);
    END IF;
    INSERT INTO tapdb.coverage_total (kept, type, instrument, band, datasets, t_min, t_max, area, moc)
    VALUES (base, touched.type, touched.instrument, touched.band, sums.datasets, sums.t_min, sums.t_max, tapdb.moc_area(nights), nights)
    ON CONFLICT (kept, type, instrument, band)
    DO UPDATE SET datasets = EXCLUDED.datasets, t_min = EXCLUDED.t_min, t_max = EXCLUDED.t_max, area = EXCLUDED.area, moc = EXCLUDED.moc;
  END LOOP;
  UPDATE tapdb.coverage_view v SET filled_at = now() WHERE v.kept = base AND v.filled_at IS NULL;
  RETURN taken;
END
$$;
ALTER FUNCTION tapdb.fold_coverage(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.fold_coverage(text) IS 'Folds what has come to the coverage of a view; returns how many notes, or NULL if another session does.';
REVOKE ALL ON FUNCTION tapdb.fold_coverage(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.fold_coverage(text) TO tapdb_service;
