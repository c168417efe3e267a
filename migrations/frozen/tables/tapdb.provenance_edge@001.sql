-- sha256 0a8e79ce28fdbf433f6cc8b2c06a8a7941d1846dcff44144592c1c5e88b9e492
-- What quanta read and wrote. No foreign keys: a RUN is loaded by COPY, and checked by that.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.provenance_edge;
-- create
CREATE TABLE tapdb.provenance_edge (
  quantum uuid NOT NULL,
  dataset uuid NOT NULL,
  is_read boolean NOT NULL
);
CREATE INDEX provenance_edge_quantum_idx ON tapdb.provenance_edge (quantum, is_read) INCLUDE (dataset);
CREATE INDEX provenance_edge_dataset_idx ON tapdb.provenance_edge (dataset, is_read) INCLUDE (quantum);
ALTER TABLE tapdb.provenance_edge OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.provenance_edge IS 'What quanta read and wrote.';
COMMENT ON COLUMN tapdb.provenance_edge.quantum IS 'UUID of the quantum.';
COMMENT ON COLUMN tapdb.provenance_edge.dataset IS 'UUID of the dataset.';
COMMENT ON COLUMN tapdb.provenance_edge.is_read IS 'Whether the quantum read it; it wrote it otherwise.';
REVOKE ALL ON TABLE tapdb.provenance_edge FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.provenance_edge TO tapdb_service;
