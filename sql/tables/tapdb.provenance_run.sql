-- RUN collections whose quanta were loaded.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.provenance_run;
-- create
CREATE TABLE tapdb.provenance_run (
  run text NOT NULL,
  repository text NOT NULL,
  source text NOT NULL,
  is_public boolean NOT NULL,
  software_version text NOT NULL,
  loaded_at timestamp with time zone NOT NULL DEFAULT now(),
  CONSTRAINT provenance_run_pkey PRIMARY KEY (run)
);
ALTER TABLE tapdb.provenance_run OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.provenance_run IS 'RUN collections whose quanta were loaded.';
COMMENT ON COLUMN tapdb.provenance_run.run IS 'Name of the RUN collection.';
COMMENT ON COLUMN tapdb.provenance_run.repository IS 'Butler repository as it was named for loading: a label or a folder.';
COMMENT ON COLUMN tapdb.provenance_run.source IS 'Dataset type of the graph that was read.';
COMMENT ON COLUMN tapdb.provenance_run.is_public IS 'Whether readers see it.';
COMMENT ON COLUMN tapdb.provenance_run.software_version IS 'Version of tapdb that loaded it.';
COMMENT ON COLUMN tapdb.provenance_run.loaded_at IS 'When it was loaded.';
REVOKE ALL ON TABLE tapdb.provenance_run FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.provenance_run TO tapdb_service;
