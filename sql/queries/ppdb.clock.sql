-- The newest snapshot that a transaction sees: (number, MJD TAI, digest in hexadecimal digits).
SELECT snapshot_id, t_mjd_tai, coalesce(encode(ppdb_history.snapshot_digest(snapshot_id), 'hex'), '') FROM ppdb_history.clock
