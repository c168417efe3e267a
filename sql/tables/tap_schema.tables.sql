-- Tables and views that are published (TAP 1.1 section 4.2).
-- requires: schemas/tap_schema, roles/tapdb_reader, tables/tap_schema.schemas
-- drop
DROP TABLE IF EXISTS tap_schema.tables;
-- create
CREATE TABLE tap_schema.tables (
  schema_name text NOT NULL,
  table_name text NOT NULL,
  table_type text NOT NULL,
  utype text,
  description text,
  table_index integer,
  CONSTRAINT tables_pkey PRIMARY KEY (table_name),
  CONSTRAINT tables_schema_name_fkey FOREIGN KEY (schema_name) REFERENCES tap_schema.schemas (schema_name)
    DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT tables_table_type_check CHECK (table_type IN ('table', 'view'))
);
CREATE INDEX tables_schema_name_idx ON tap_schema.tables (schema_name);
ALTER TABLE tap_schema.tables OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.tables IS 'Tables and views in this service';
COMMENT ON COLUMN tap_schema.tables.schema_name IS 'Schema that the table belongs to';
COMMENT ON COLUMN tap_schema.tables.table_name IS 'Name of the table with its schema, as a query has to write it';
COMMENT ON COLUMN tap_schema.tables.table_type IS 'Kind of the table: table or view';
COMMENT ON COLUMN tap_schema.tables.utype IS 'Data model that the table follows';
COMMENT ON COLUMN tap_schema.tables.description IS 'What the table holds';
COMMENT ON COLUMN tap_schema.tables.table_index IS 'Recommended order of the tables of a schema';
REVOKE ALL ON TABLE tap_schema.tables FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.tables TO tapdb_reader;
