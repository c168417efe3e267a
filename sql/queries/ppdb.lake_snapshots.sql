-- Snapshots after one, in order, with their digests: (number, MJD TAI, digest in hexadecimal digits, NULL while it is pending).
-- Parameter: after, a number.
SELECT s.snapshot_id, s.t_mjd_tai,
  encode(coalesce(later.parent_digest, ppdb_history.snapshot_digest(s.snapshot_id)), 'hex') AS digest
FROM ppdb_history.snapshot s LEFT JOIN ppdb_history.snapshot later ON later.snapshot_id = s.snapshot_id + 1
WHERE s.snapshot_id > %(after)s
ORDER BY s.snapshot_id
