-- sha256 16203fbc9c46b3627e657e8a9e47133a6ad245414f681dbf9f08ccfe6c7fcddd
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
REVOKE ALL ON TABLE tap_schema.tables11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.tables11 TO tapdb_reader;
