-- sha256 548ee708824ace36f09b4d52bd29e769566f1decac1c23acff2b8674fde79d8e
-- Schemas that are published (TAP 1.1 section 4.1). Keys are checked at commit, so that rows may come in any order.
-- requires: schemas/tap_schema, roles/tapdb_reader
-- drop
DROP TABLE IF EXISTS tap_schema.schemas;
-- create
CREATE TABLE tap_schema.schemas (
  schema_name text NOT NULL,
  utype text,
  description text,
  schema_index integer,
  CONSTRAINT schemas_pkey PRIMARY KEY (schema_name)
);
ALTER TABLE tap_schema.schemas OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.schemas IS 'Schemas in this service';
COMMENT ON COLUMN tap_schema.schemas.schema_name IS 'Name of the schema';
COMMENT ON COLUMN tap_schema.schemas.utype IS 'Data model that the schema follows';
COMMENT ON COLUMN tap_schema.schemas.description IS 'What the schema holds';
COMMENT ON COLUMN tap_schema.schemas.schema_index IS 'Recommended order of the schemas';
REVOKE ALL ON TABLE tap_schema.schemas FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.schemas TO tapdb_reader;
