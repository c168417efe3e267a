-- Snapshots whose digest is pending, or of which it could not be told at once that all is as it was written: (snapshot_id, is_pending, after_s: how long after its writer
-- held the clock its digest was made, or that it is pending, tables_changed: tables of which rows had changed or gone by then, with how many, tables_unwitnessed: tables of
-- which they were counted only).
SELECT s.snapshot_id, coalesce(t.is_pending, false) OR s.parent_digest IS NULL AS is_pending,
  round(((coalesce(s.sealed_mjd_tai, tapdb.mjd_tai(clock_timestamp())) - s.t_mjd_tai) * 86400)::numeric, 3)::double precision AS after_s,
  t.changed AS tables_changed, t.unwitnessed AS tables_unwitnessed
FROM ppdb_history.snapshot s LEFT JOIN (
  SELECT snapshot_id, bool_or(begun_digest IS NULL) AS is_pending,
    string_agg(format('%s of the %s of %s', begun - found, begun, table_name), ', ' ORDER BY table_name) FILTER (WHERE found <> begun) AS changed,
    string_agg(table_name, ', ' ORDER BY table_name) FILTER (WHERE NOT is_witnessed) AS unwitnessed
  FROM ppdb_history.snapshot_table WHERE begun_digest IS NULL OR found <> begun OR NOT is_witnessed GROUP BY snapshot_id
) t USING (snapshot_id)
WHERE t.snapshot_id IS NOT NULL OR s.parent_digest IS NULL
ORDER BY s.snapshot_id
