-- sha256 a69c0115a5fb3011919a2a0bcddf96914fbfe87e5d85fd453b89346ae71b662f
-- Datasets that quanta read or wrote, in any RUN.
-- A dataset that two RUNs have to do with is one row: the RUN that made it says what it is, and whether it was made.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.provenance_dataset;
-- create
CREATE TABLE tapdb.provenance_dataset (
  dataset uuid NOT NULL,
  run text NOT NULL,
  dataset_type text NOT NULL,
  data_id jsonb NOT NULL,
  produced boolean NOT NULL,
  digest text,
  CONSTRAINT provenance_dataset_pkey PRIMARY KEY (dataset)
);
ALTER TABLE tapdb.provenance_dataset OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.provenance_dataset IS 'Datasets that quanta read or wrote.';
COMMENT ON COLUMN tapdb.provenance_dataset.dataset IS 'UUID of the dataset.';
COMMENT ON COLUMN tapdb.provenance_dataset.run IS 'RUN collection that it is in.';
COMMENT ON COLUMN tapdb.provenance_dataset.dataset_type IS 'Its dataset type.';
COMMENT ON COLUMN tapdb.provenance_dataset.data_id IS 'Values of its dimensions.';
COMMENT ON COLUMN tapdb.provenance_dataset.produced IS 'Whether it was there when its RUN was loaded.';
COMMENT ON COLUMN tapdb.provenance_dataset.digest IS 'Digest of the values in its file, with its kind before a colon; NULL if none is known.';
REVOKE ALL ON TABLE tapdb.provenance_dataset FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.provenance_dataset TO tapdb_service;
