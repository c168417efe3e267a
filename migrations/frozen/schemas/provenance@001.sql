-- sha256 77790cb022cadadba62913e30f3c7634fe4f8bb1439c6adcb0b5a467c3d29d48
-- Which data made which: quanta, datasets and the edges between them, of RUNs that were loaded for the public.
-- requires: roles/tapdb_owner, roles/tapdb_reader
-- drop
DROP SCHEMA IF EXISTS provenance;
-- create
CREATE SCHEMA provenance AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA provenance IS 'Provenance of datasets: what was run, what it read and what it wrote.';
REVOKE ALL ON SCHEMA provenance FROM PUBLIC;
GRANT USAGE ON SCHEMA provenance TO tapdb_reader;
