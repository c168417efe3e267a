-- What is wrong with the clock and the list of snapshots, as far as their numbers tell: (relation, problem). Digests are looked at by `ppdb.broken_chain`.
WITH listed AS (
  SELECT count(*) AS number, max(snapshot_id) AS newest FROM ppdb_history.snapshot
)
SELECT 'ppdb_history.clock' AS relation, 'has no row: nobody can write versioned rows' AS problem WHERE NOT EXISTS (SELECT FROM ppdb_history.clock)
UNION ALL
SELECT 'ppdb_history.clock', format('is at snapshot %s of MJD %s, and the newest snapshot is %s', c.snapshot_id, c.t_mjd_tai,
  coalesce((SELECT format('%s of MJD %s', s.snapshot_id, s.t_mjd_tai) FROM ppdb_history.snapshot s WHERE s.snapshot_id = listed.newest), 'missing'))
FROM ppdb_history.clock c, listed
WHERE NOT EXISTS (SELECT FROM ppdb_history.snapshot s WHERE s.snapshot_id = listed.newest AND (s.snapshot_id, s.t_mjd_tai) = (c.snapshot_id, c.t_mjd_tai))
UNION ALL
SELECT 'ppdb_history.snapshot', format('has lost %s of its rows, the first one of snapshot %s', newest + 1 - number, (
  SELECT min(expected) FROM generate_series(0, newest) expected WHERE NOT EXISTS (SELECT FROM ppdb_history.snapshot s WHERE s.snapshot_id = expected)))
FROM listed WHERE number <> newest + 1
