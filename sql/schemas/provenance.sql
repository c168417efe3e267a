-- Which data made which: quanta, datasets and the edges between them, of RUNs that were loaded for the public.
-- requires: roles/tapdb_owner, roles/tapdb_reader
-- drop
DROP SCHEMA IF EXISTS provenance;
-- create
CREATE SCHEMA provenance AUTHORIZATION tapdb_owner;
COMMENT ON SCHEMA provenance IS 'Provenance of datasets: what was run, what it read and what it wrote.';
REVOKE ALL ON SCHEMA provenance FROM PUBLIC;
GRANT USAGE ON SCHEMA provenance TO tapdb_reader;
