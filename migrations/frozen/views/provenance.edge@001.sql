-- sha256 417367fc57c55e108cb4ed25d390c4e90f88aa1ac6363c6a5707cfa641a072fe
-- What executions read and wrote, in the words of the IVOA Provenance Data Model 1.0.
-- requires: schemas/provenance, tables/tapdb.provenance_edge, tables/tapdb.provenance_quantum, tables/tapdb.provenance_run
-- drop
DROP VIEW IF EXISTS provenance.edge;
-- create
CREATE VIEW provenance.edge AS
SELECT e.quantum AS quantum_id, e.dataset AS dataset_id, CASE WHEN e.is_read THEN 'used' ELSE 'wasGeneratedBy' END AS relation
FROM tapdb.provenance_edge e JOIN tapdb.provenance_quantum q USING (quantum) JOIN tapdb.provenance_run r USING (run)
WHERE r.is_public;
ALTER VIEW provenance.edge OWNER TO tapdb_owner;
COMMENT ON VIEW provenance.edge IS 'What executions read and wrote';
COMMENT ON COLUMN provenance.edge.quantum_id IS 'UUID of the execution';
COMMENT ON COLUMN provenance.edge.dataset_id IS 'UUID of the dataset';
COMMENT ON COLUMN provenance.edge.relation IS 'used if the execution read the dataset, wasGeneratedBy if it wrote it';
REVOKE ALL ON TABLE provenance.edge FROM PUBLIC;
GRANT SELECT ON TABLE provenance.edge TO tapdb_reader;
