-- Published schemas under the names and with the further columns that OpenCADC's TAP reads (cadc-tap-schema 1.2.13).
-- requires: tables/tap_schema.schemas, roles/tapdb_reader
-- drop
DROP VIEW IF EXISTS tap_schema.schemas11;
-- create
CREATE VIEW tap_schema.schemas11 AS
SELECT schema_name, utype, description, schema_index,
  NULL::varchar(256) AS owner_id, 1 AS read_anon, NULL::varchar(128) AS read_only_group, NULL::varchar(128) AS read_write_group, NULL::integer AS api_created
FROM tap_schema.schemas;
ALTER VIEW tap_schema.schemas11 OWNER TO tapdb_owner;
COMMENT ON VIEW tap_schema.schemas11 IS 'Published schemas for OpenCADC';
COMMENT ON COLUMN tap_schema.schemas11.schema_name IS 'Name of the schema';
COMMENT ON COLUMN tap_schema.schemas11.utype IS 'Data model that the schema follows';
COMMENT ON COLUMN tap_schema.schemas11.description IS 'What the schema holds';
COMMENT ON COLUMN tap_schema.schemas11.schema_index IS 'Recommended order of the schemas';
COMMENT ON COLUMN tap_schema.schemas11.owner_id IS 'Owner, for OpenCADC: nobody';
COMMENT ON COLUMN tap_schema.schemas11.read_anon IS '1: everybody may read it, for OpenCADC';
COMMENT ON COLUMN tap_schema.schemas11.read_only_group IS 'Group that may read, for OpenCADC: none';
COMMENT ON COLUMN tap_schema.schemas11.read_write_group IS 'Group that may write, for OpenCADC: none';
COMMENT ON COLUMN tap_schema.schemas11.api_created IS 'Whether users made it, for OpenCADC: unknown';
REVOKE ALL ON TABLE tap_schema.schemas11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.schemas11 TO tapdb_reader;
