-- Snapshots whose digest is pending, or was made after the commit of its writer: (snapshot_id, is_pending, after_s: how long after its writer held the clock, up to
-- now if it is pending, tables_changed: tables of which rows had changed or gone by then, with how many, tables_unwitnessed: tables of which they were counted only).
SELECT s.snapshot_id, coalesce(t.is_pending, false) OR s.parent_digest IS NULL AS is_pending,
  round(((CASE WHEN t.is_pending OR s.parent_digest IS NULL THEN tapdb.mjd_tai(clock_timestamp()) ELSE s.sealed_mjd_tai END - s.t_mjd_tai) * 86400)::numeric, 3)::double precision AS after_s,
  t.changed AS tables_changed, t.unwitnessed AS tables_unwitnessed
FROM ppdb_history.snapshot s LEFT JOIN (
  SELECT snapshot_id, bool_or(begun_digest IS NULL) AS is_pending,
    string_agg(format('%s of the %s of %s', begun - found, begun, table_name), ', ' ORDER BY table_name) FILTER (WHERE found <> begun) AS changed,
    string_agg(table_name, ', ' ORDER BY table_name) FILTER (WHERE NOT is_witnessed) AS unwitnessed
  FROM ppdb_history.snapshot_table WHERE begun_digest IS NULL OR found IS NOT NULL GROUP BY snapshot_id
) t USING (snapshot_id)
WHERE t.snapshot_id IS NOT NULL OR s.parent_digest IS NULL OR s.sealed_mjd_tai IS NOT NULL
ORDER BY s.snapshot_id
