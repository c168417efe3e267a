-- Columns of foreign keys under the names and with the further columns that OpenCADC's TAP reads (cadc-tap-schema 1.2.13).
-- requires: tables/tap_schema.key_columns, roles/tapdb_reader
-- drop
DROP VIEW IF EXISTS tap_schema.key_columns11;
-- create
CREATE VIEW tap_schema.key_columns11 AS
SELECT key_id, from_column, target_column
FROM tap_schema.key_columns;
ALTER VIEW tap_schema.key_columns11 OWNER TO tapdb_owner;
COMMENT ON VIEW tap_schema.key_columns11 IS 'Columns of foreign keys for OpenCADC';
COMMENT ON COLUMN tap_schema.key_columns11.key_id IS 'Key that the pair belongs to';
COMMENT ON COLUMN tap_schema.key_columns11.from_column IS 'Column of the table that refers to another one';
COMMENT ON COLUMN tap_schema.key_columns11.target_column IS 'Column of the table that is referred to';
REVOKE ALL ON TABLE tap_schema.key_columns11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.key_columns11 TO tapdb_reader;
