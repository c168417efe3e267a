-- sha256 2133b5647ef94f36a2da4ae42d015ab98c26dcda570d140ee9580142a48c67f2
-- Publications of TAP_SCHEMA: a row for each that changed anything, so that a service can cache by the last one.
-- requires: schemas/tap_schema, roles/tapdb_reader
-- drop
DROP TABLE IF EXISTS tap_schema.generation;
-- create
CREATE TABLE tap_schema.generation (
  generation bigint NOT NULL,
  published_at timestamp with time zone NOT NULL DEFAULT now(),
  digest text NOT NULL,
  generator text NOT NULL,
  comment text,
  row_count integer NOT NULL,
  inserted integer NOT NULL,
  updated integer NOT NULL,
  deleted integer NOT NULL,
  CONSTRAINT generation_pkey PRIMARY KEY (generation),
  CONSTRAINT generation_digest_check CHECK (digest ~ '^[0-9a-f]{64}$')
);
ALTER TABLE tap_schema.generation OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.generation IS 'Publications of this description; the last one tells which is in force';
COMMENT ON COLUMN tap_schema.generation.generation IS 'Number of the publication, from 1';
COMMENT ON COLUMN tap_schema.generation.published_at IS 'When it was published (UTC)';
COMMENT ON COLUMN tap_schema.generation.digest IS 'SHA-256 of all rows that were then in force, hexadecimal';
COMMENT ON COLUMN tap_schema.generation.generator IS 'Program that published it';
COMMENT ON COLUMN tap_schema.generation.comment IS 'Why it was published';
COMMENT ON COLUMN tap_schema.generation.row_count IS 'Number of rows that were then in force, in all tables';
COMMENT ON COLUMN tap_schema.generation.inserted IS 'Number of rows that were new';
COMMENT ON COLUMN tap_schema.generation.updated IS 'Number of rows that were changed';
COMMENT ON COLUMN tap_schema.generation.deleted IS 'Number of rows that were taken away';
REVOKE ALL ON TABLE tap_schema.generation FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.generation TO tapdb_reader;
