-- Datasets and what they were made of, as CAOM2 has it: a row for each pair that one successful execution read and wrote.
-- requires: schemas/provenance, tables/tapdb.provenance_dataset, tables/tapdb.provenance_edge, tables/tapdb.provenance_quantum, tables/tapdb.provenance_run
-- drop
DROP VIEW IF EXISTS provenance.provenanceinput;
-- create
CREATE VIEW provenance.provenanceinput AS
SELECT w.dataset AS outputid, r.dataset::text AS inputid
FROM tapdb.provenance_edge w
JOIN tapdb.provenance_dataset d ON d.dataset = w.dataset AND d.produced
JOIN tapdb.provenance_quantum q ON q.quantum = w.quantum
JOIN tapdb.provenance_run u ON u.run = q.run AND u.is_public
JOIN tapdb.provenance_edge r ON r.quantum = w.quantum AND r.is_read
WHERE NOT w.is_read;
ALTER VIEW provenance.provenanceinput OWNER TO tapdb_owner;
COMMENT ON VIEW provenance.provenanceinput IS 'Datasets and the datasets that they were made of';
COMMENT ON COLUMN provenance.provenanceinput.outputid IS 'UUID of the dataset that was made';
COMMENT ON COLUMN provenance.provenanceinput.inputid IS 'UUID of a dataset that it was made of';
REVOKE ALL ON TABLE provenance.provenanceinput FROM PUBLIC;
GRANT SELECT ON TABLE provenance.provenanceinput TO tapdb_reader;
