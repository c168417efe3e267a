-- Foreign keys under the names and with the further columns that OpenCADC's TAP reads (cadc-tap-schema 1.2.13).
-- requires: tables/tap_schema.keys, roles/tapdb_reader
-- drop
DROP VIEW IF EXISTS tap_schema.keys11;
-- create
CREATE VIEW tap_schema.keys11 AS
SELECT key_id, from_table, target_table, utype, description
FROM tap_schema.keys;
ALTER VIEW tap_schema.keys11 OWNER TO tapdb_owner;
COMMENT ON VIEW tap_schema.keys11 IS 'Foreign keys for OpenCADC';
COMMENT ON COLUMN tap_schema.keys11.key_id IS 'Identifier of the key';
COMMENT ON COLUMN tap_schema.keys11.from_table IS 'Table that refers to another one';
COMMENT ON COLUMN tap_schema.keys11.target_table IS 'Table that is referred to';
COMMENT ON COLUMN tap_schema.keys11.utype IS 'Place of the key in a data model';
COMMENT ON COLUMN tap_schema.keys11.description IS 'What the key means';
REVOKE ALL ON TABLE tap_schema.keys11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.keys11 TO tapdb_reader;
