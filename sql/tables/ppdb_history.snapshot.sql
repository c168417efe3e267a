-- One row a snapshot: a committed transaction that changed versioned rows.
-- requires: tables/ppdb_history.clock
-- drop
DROP TABLE IF EXISTS ppdb_history.snapshot;
-- create
CREATE TABLE ppdb_history.snapshot (
  snapshot_id bigint NOT NULL,
  t_mjd_tai double precision NOT NULL,
  parent_digest bytea,
  writer text NOT NULL DEFAULT session_user,
  wall_mjd_tai double precision,
  sealed_mjd_tai double precision,
  CONSTRAINT snapshot_pkey PRIMARY KEY (snapshot_id),
  CONSTRAINT snapshot_t_mjd_tai_key UNIQUE (t_mjd_tai)
);
CREATE INDEX snapshot_wall_mjd_tai_idx ON ppdb_history.snapshot (snapshot_id) WHERE wall_mjd_tai IS NOT NULL;
CREATE INDEX snapshot_open_idx ON ppdb_history.snapshot (snapshot_id) WHERE parent_digest IS NULL;
ALTER TABLE ppdb_history.snapshot OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.snapshot IS 'Snapshots of the PPDB: one row for each transaction that changed versioned rows, in the order of commits.';
COMMENT ON COLUMN ppdb_history.snapshot.snapshot_id IS 'Number of the snapshot; without gaps.';
COMMENT ON COLUMN ppdb_history.snapshot.t_mjd_tai IS 'When its writer held the clock, MJD, TAI; strictly increasing with snapshot_id.';
COMMENT ON COLUMN ppdb_history.snapshot.parent_digest IS 'Digest (SHA-256) of the snapshot before, which holds that of the one before it; NULL while pending.';
COMMENT ON COLUMN ppdb_history.snapshot.writer IS 'Role that wrote.';
COMMENT ON COLUMN ppdb_history.snapshot.wall_mjd_tai IS 'What the wall clock said, MJD, TAI, where it was behind the snapshot before; else NULL.';
COMMENT ON COLUMN ppdb_history.snapshot.sealed_mjd_tai IS 'When its digest was made, MJD, TAI, where that was after the commit; else NULL.';
REVOKE ALL ON TABLE ppdb_history.snapshot FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.snapshot TO tapdb_reader;
INSERT INTO ppdb_history.snapshot (snapshot_id, t_mjd_tai, parent_digest, writer)
SELECT snapshot_id, t_mjd_tai, sha256(''), '' FROM ppdb_history.clock;
