-- sha256 fe52390fca7f2c955e1414d194c4d772566c098b4e14ff24a58137993672d695
-- Version of the layout that OpenCADC's TAP expects (cadc-tap-schema 1.2.13).
-- requires: schemas/tap_schema, roles/tapdb_reader
-- drop
DROP TABLE IF EXISTS tap_schema.modelversion;
-- create
CREATE TABLE tap_schema.modelversion (
  model varchar(16) NOT NULL,
  version varchar(16) NOT NULL,
  lastmodified timestamp without time zone NOT NULL,
  CONSTRAINT modelversion_pkey PRIMARY KEY (model)
);
INSERT INTO tap_schema.modelversion (model, version, lastmodified) VALUES ('TAP_SCHEMA', '1.2.13', now());
ALTER TABLE tap_schema.modelversion OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.modelversion IS 'Version of the layout, for OpenCADC';
COMMENT ON COLUMN tap_schema.modelversion.model IS 'Name of the layout';
COMMENT ON COLUMN tap_schema.modelversion.version IS 'Version of the layout';
COMMENT ON COLUMN tap_schema.modelversion.lastmodified IS 'When it was made';
REVOKE ALL ON TABLE tap_schema.modelversion FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.modelversion TO tapdb_reader;
