-- The clock: one row with the newest snapshot. A transaction locks it from its first write of versioned rows to the commit, so that the
-- order of snapshots is the order of commits.
-- requires: grants/tapdb_reader, schemas/ppdb_history, functions/tapdb.mjd_tai
-- drop
DROP TABLE IF EXISTS ppdb_history.clock;
-- create
CREATE TABLE ppdb_history.clock (
  one boolean NOT NULL DEFAULT true,
  snapshot_id bigint NOT NULL,
  t_mjd_tai double precision NOT NULL,
  writer xid8,
  CONSTRAINT clock_pkey PRIMARY KEY (one),
  CONSTRAINT clock_one_check CHECK (one),
  CONSTRAINT clock_snapshot_id_check CHECK (snapshot_id >= 0)
) WITH (fillfactor = 10);
ALTER TABLE ppdb_history.clock OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.clock IS 'Newest snapshot of the PPDB: one row.';
COMMENT ON COLUMN ppdb_history.clock.one IS 'True: there is one row.';
COMMENT ON COLUMN ppdb_history.clock.snapshot_id IS 'Number of the newest snapshot; 0 before anything was written.';
COMMENT ON COLUMN ppdb_history.clock.t_mjd_tai IS 'Time of the newest snapshot, MJD, TAI: when its writer held the clock. Strictly increasing.';
COMMENT ON COLUMN ppdb_history.clock.writer IS 'Transaction that made the newest snapshot; means something only while it runs.';
REVOKE ALL ON TABLE ppdb_history.clock FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.clock TO tapdb_reader;
INSERT INTO ppdb_history.clock (snapshot_id, t_mjd_tai) VALUES (0, tapdb.mjd_tai(clock_timestamp()));
