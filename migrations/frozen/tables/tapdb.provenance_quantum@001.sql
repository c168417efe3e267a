-- sha256 ec8a09ca6a45a244127a23e899411088ac1682409bc40880a938cff0f428c788
-- Executions of tasks: quanta of RUNs that were loaded.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.provenance_quantum;
-- create
CREATE TABLE tapdb.provenance_quantum (
  quantum uuid NOT NULL,
  run text NOT NULL,
  task text NOT NULL,
  data_id jsonb NOT NULL,
  status text NOT NULL,
  problem text,
  CONSTRAINT provenance_quantum_pkey PRIMARY KEY (quantum)
);
CREATE INDEX provenance_quantum_run_idx ON tapdb.provenance_quantum (run);
ALTER TABLE tapdb.provenance_quantum OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.provenance_quantum IS 'Executions of tasks.';
COMMENT ON COLUMN tapdb.provenance_quantum.quantum IS 'UUID of the quantum.';
COMMENT ON COLUMN tapdb.provenance_quantum.run IS 'RUN collection of its outputs.';
COMMENT ON COLUMN tapdb.provenance_quantum.task IS 'Label of its task.';
COMMENT ON COLUMN tapdb.provenance_quantum.data_id IS 'Values of its dimensions.';
COMMENT ON COLUMN tapdb.provenance_quantum.status IS 'success, failure, timeout, skipped or unknown.';
COMMENT ON COLUMN tapdb.provenance_quantum.problem IS 'Why it failed.';
REVOKE ALL ON TABLE tapdb.provenance_quantum FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.provenance_quantum TO tapdb_service;
