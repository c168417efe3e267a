-- Datasets of public provenance: those that a public RUN read or wrote.
-- requires: schemas/provenance, tables/tapdb.provenance_dataset, tables/tapdb.provenance_edge, tables/tapdb.provenance_quantum, tables/tapdb.provenance_run
-- drop
DROP VIEW IF EXISTS provenance.dataset;
-- create
CREATE VIEW provenance.dataset AS
SELECT d.dataset AS dataset_id, d.dataset_type, d.run, d.data_id::text AS data_id, d.produced::integer AS produced, d.digest
FROM tapdb.provenance_dataset d
WHERE EXISTS (
  SELECT FROM tapdb.provenance_edge e JOIN tapdb.provenance_quantum q USING (quantum) JOIN tapdb.provenance_run r USING (run)
  WHERE e.dataset = d.dataset AND r.is_public
);
ALTER VIEW provenance.dataset OWNER TO tapdb_owner;
COMMENT ON VIEW provenance.dataset IS 'Datasets that executions read or wrote';
COMMENT ON COLUMN provenance.dataset.dataset_id IS 'UUID of the dataset, as in its publisher DID';
COMMENT ON COLUMN provenance.dataset.dataset_type IS 'Butler dataset type';
COMMENT ON COLUMN provenance.dataset.run IS 'Butler RUN collection that it is in';
COMMENT ON COLUMN provenance.dataset.data_id IS 'Values of its dimensions, JSON';
COMMENT ON COLUMN provenance.dataset.produced IS 'Whether it was made: 1, or 0';
COMMENT ON COLUMN provenance.dataset.digest IS 'Digest of the values in its file, with its kind before a colon';
REVOKE ALL ON TABLE provenance.dataset FROM PUBLIC;
GRANT SELECT ON TABLE provenance.dataset TO tapdb_reader;
