-- sha256 d78b3c91565bd2e479b59ef8887d2db53bfa8dc1a063d7e499c943ba6243aaf2
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
REVOKE ALL ON TABLE tap_schema.schemas11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.schemas11 TO tapdb_reader;
