-- Ranges of time as of which no snapshot can be named, since the wall clock was wrong: (after_id, after_mjd_tai, last_id, last_mjd_tai, behind_s), in order. The times are
-- those of snapshots; behind_s is by how much the wall clock was behind at most. The last range may be that of a snapshot whose time has not come yet.
WITH behind AS (
  SELECT snapshot_id, t_mjd_tai, t_mjd_tai - wall_mjd_tai AS days, snapshot_id - row_number() OVER (ORDER BY snapshot_id) AS run
  FROM ppdb_history.snapshot WHERE wall_mjd_tai IS NOT NULL
), ranges AS (
  SELECT min(snapshot_id) - 2 AS after_id, max(snapshot_id) AS last_id, max(days) AS days FROM behind GROUP BY run
  UNION ALL
  SELECT snapshot_id - 1, snapshot_id, t_mjd_tai - tapdb.mjd_tai(clock_timestamp()) FROM ppdb_history.clock
  WHERE t_mjd_tai > tapdb.mjd_tai(clock_timestamp()) AND NOT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM behind WHERE behind.snapshot_id = clock.snapshot_id)
)
SELECT r.after_id, a.t_mjd_tai AS after_mjd_tai, r.last_id, l.t_mjd_tai AS last_mjd_tai, round((r.days * 86400)::numeric, 3) AS behind_s
FROM ranges r JOIN ppdb_history.snapshot l ON l.snapshot_id = r.last_id LEFT JOIN ppdb_history.snapshot a ON a.snapshot_id = r.after_id
ORDER BY r.last_id
