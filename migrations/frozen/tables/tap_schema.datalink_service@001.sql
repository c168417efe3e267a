-- sha256 8ab1bb50b431b0bf3b72675bd3d743f9b18ef6d2660c108289da4a0a7cbd5eae
-- Services that take values of a published table: DataLink, cutouts, other searches (DataLink 1.1 section 4).
-- requires: schemas/tap_schema, roles/tapdb_reader, tables/tap_schema.tables
-- drop
DROP TABLE IF EXISTS tap_schema.datalink_service;
-- create
CREATE TABLE tap_schema.datalink_service (
  service_id text NOT NULL,
  table_name text NOT NULL,
  access_url text NOT NULL,
  standard_id text,
  resource_identifier text,
  content_type text,
  description text,
  CONSTRAINT datalink_service_pkey PRIMARY KEY (service_id),
  CONSTRAINT datalink_service_table_name_fkey FOREIGN KEY (table_name) REFERENCES tap_schema.tables (table_name)
    DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT datalink_service_service_id_check CHECK (service_id ~ '^[A-Za-z_][A-Za-z0-9_.-]*$')
);
ALTER TABLE tap_schema.datalink_service OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.datalink_service IS 'Services that take values of a table as their input (DataLink service descriptors)';
COMMENT ON COLUMN tap_schema.datalink_service.service_id IS 'Identifier of the service descriptor';
COMMENT ON COLUMN tap_schema.datalink_service.table_name IS 'Table whose rows the service takes values of';
COMMENT ON COLUMN tap_schema.datalink_service.access_url IS 'URL of the service; a path is relative to the site that publishes the table';
COMMENT ON COLUMN tap_schema.datalink_service.standard_id IS 'Standard of the service, as IVOA identifier';
COMMENT ON COLUMN tap_schema.datalink_service.resource_identifier IS 'IVOA identifier under which the service is registered';
COMMENT ON COLUMN tap_schema.datalink_service.content_type IS 'Media type of what the service returns';
COMMENT ON COLUMN tap_schema.datalink_service.description IS 'What the service does';
REVOKE ALL ON TABLE tap_schema.datalink_service FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.datalink_service TO tapdb_reader;
