-- The newest snapshot that a transaction sees, and which columns the versioned tables have in it: (number, MJD TAI, digest in hexadecimal digits,
-- last snapshot in which a column came or went, number of columns that are known).
SELECT c.snapshot_id, c.t_mjd_tai, coalesce(encode(ppdb_history.snapshot_digest(c.snapshot_id), 'hex'), ''), v.changed, v.known
FROM ppdb_history.clock c,
  (SELECT greatest(max(snap_from), max(snap_to) FILTER (WHERE snap_to < 9223372036854775807)) AS changed, count(*) AS known FROM ppdb_history.versioned_column) v
