-- sha256 3143181ef8bd7bc75c56f50d8d768a6b5693eed0ba9839673966440647972a73
-- Executions of tasks that readers see.
-- requires: schemas/provenance, tables/tapdb.provenance_quantum, tables/tapdb.provenance_run
-- drop
DROP VIEW IF EXISTS provenance.quantum;
-- create
CREATE VIEW provenance.quantum AS
SELECT q.quantum AS quantum_id, q.run, q.task, q.data_id::text AS data_id, q.status, q.problem
FROM tapdb.provenance_quantum q JOIN tapdb.provenance_run r USING (run) WHERE r.is_public;
ALTER VIEW provenance.quantum OWNER TO tapdb_owner;
COMMENT ON VIEW provenance.quantum IS 'Executions of tasks';
COMMENT ON COLUMN provenance.quantum.quantum_id IS 'UUID of the execution';
COMMENT ON COLUMN provenance.quantum.run IS 'Butler RUN collection of its outputs';
COMMENT ON COLUMN provenance.quantum.task IS 'Label of the task';
COMMENT ON COLUMN provenance.quantum.data_id IS 'Values of its dimensions, JSON';
COMMENT ON COLUMN provenance.quantum.status IS 'success, failure, timeout, skipped or unknown';
COMMENT ON COLUMN provenance.quantum.problem IS 'Why it failed';
REVOKE ALL ON TABLE provenance.quantum FROM PUBLIC;
GRANT SELECT ON TABLE provenance.quantum TO tapdb_reader;
