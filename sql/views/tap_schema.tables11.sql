-- Published tables under the names and with the further columns that OpenCADC's TAP reads (cadc-tap-schema 1.2.13).
-- requires: tables/tap_schema.tables, roles/tapdb_reader
-- drop
DROP VIEW IF EXISTS tap_schema.tables11;
-- create
CREATE VIEW tap_schema.tables11 AS
SELECT schema_name, table_name, table_type, NULL::varchar(128) AS view_target, utype, description, table_index,
  NULL::varchar(256) AS owner_id, 1 AS read_anon, NULL::varchar(128) AS read_only_group, NULL::varchar(128) AS read_write_group, NULL::integer AS api_created
FROM tap_schema.tables;
ALTER VIEW tap_schema.tables11 OWNER TO tapdb_owner;
COMMENT ON VIEW tap_schema.tables11 IS 'Published tables for OpenCADC';
COMMENT ON COLUMN tap_schema.tables11.schema_name IS 'Schema that the table belongs to';
COMMENT ON COLUMN tap_schema.tables11.table_name IS 'Name of the table with its schema, as a query has to write it';
COMMENT ON COLUMN tap_schema.tables11.table_type IS 'Kind of the table: table or view';
COMMENT ON COLUMN tap_schema.tables11.view_target IS 'Table below a view, for OpenCADC: unknown';
COMMENT ON COLUMN tap_schema.tables11.utype IS 'Data model that the table follows';
COMMENT ON COLUMN tap_schema.tables11.description IS 'What the table holds';
COMMENT ON COLUMN tap_schema.tables11.table_index IS 'Recommended order of the tables of a schema';
COMMENT ON COLUMN tap_schema.tables11.owner_id IS 'Owner, for OpenCADC: nobody';
COMMENT ON COLUMN tap_schema.tables11.read_anon IS '1: everybody may read it, for OpenCADC';
COMMENT ON COLUMN tap_schema.tables11.read_only_group IS 'Group that may read, for OpenCADC: none';
COMMENT ON COLUMN tap_schema.tables11.read_write_group IS 'Group that may write, for OpenCADC: none';
COMMENT ON COLUMN tap_schema.tables11.api_created IS 'Whether users made it, for OpenCADC: unknown';
REVOKE ALL ON TABLE tap_schema.tables11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.tables11 TO tapdb_reader;
