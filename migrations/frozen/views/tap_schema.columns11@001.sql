-- sha256 25bebddad26f6f4e9c3f1a8e281cf4f2a72d476791a00b9eee23b50ef84a889e
-- Published columns under the names and with the further columns that OpenCADC's TAP reads (cadc-tap-schema 1.2.13).
-- column_id is the ID of the FIELD in VOTable, which DataLink descriptors refer to: letters, digits, _, - and . alone.
-- requires: tables/tap_schema.columns, roles/tapdb_reader
-- drop
DROP VIEW IF EXISTS tap_schema.columns11;
-- create
CREATE VIEW tap_schema.columns11 AS
SELECT table_name, column_name, utype, ucd, unit, description, datatype, arraysize, xtype, "size", principal, indexed, std, column_index,
  regexp_replace(replace(replace(table_name, '.', '_') || '_' || column_name, '"', ''), '[^A-Za-z0-9_.-]', '_', 'g') AS column_id,
  NULL::varchar(256) AS owner_id, 1 AS read_anon, NULL::varchar(128) AS read_only_group, NULL::varchar(128) AS read_write_group
FROM tap_schema.columns;
ALTER VIEW tap_schema.columns11 OWNER TO tapdb_owner;
COMMENT ON VIEW tap_schema.columns11 IS 'Published columns for OpenCADC, with the IDs of their FIELDs in VOTable';
REVOKE ALL ON TABLE tap_schema.columns11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.columns11 TO tapdb_reader;
