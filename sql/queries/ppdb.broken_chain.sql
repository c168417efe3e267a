-- Snapshots whose record does not follow from the one before: a number that is missing, a time that is not later, a digest that is another one. The clock is at the
-- newest one. (snapshot_id, problem).
WITH chain AS (
  SELECT s.*, lag(s.snapshot_id) OVER w AS earlier_id, lag(s.t_mjd_tai) OVER w AS earlier_time
  FROM ppdb_history.snapshot s WINDOW w AS (ORDER BY s.snapshot_id)
)
SELECT snapshot_id, format('the snapshot before is %s', coalesce(earlier_id::text, 'missing')) AS problem
FROM chain WHERE snapshot_id <> 0 AND earlier_id IS DISTINCT FROM snapshot_id - 1
UNION ALL
SELECT snapshot_id, 'its time is not later than that of the snapshot before' FROM chain WHERE t_mjd_tai <= earlier_time
UNION ALL
SELECT snapshot_id - 1, 'its record is not the one that the next snapshot was built on' FROM chain
WHERE earlier_id = snapshot_id - 1 AND parent_digest IS DISTINCT FROM ppdb_history.snapshot_digest(snapshot_id - 1)
UNION ALL
SELECT c.snapshot_id, 'the clock is not at the newest snapshot' FROM ppdb_history.clock c
WHERE NOT EXISTS (
  SELECT FROM ppdb_history.snapshot s WHERE s.snapshot_id = c.snapshot_id AND s.t_mjd_tai = c.t_mjd_tai
    AND s.snapshot_id = (SELECT max(snapshot_id) FROM ppdb_history.snapshot))
ORDER BY 1, 2
