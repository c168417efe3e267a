-- sha256 9baef768598b14be549a997e881dc79d261e0b5952780bfc7fd26cf69a3b350e
-- What each published view was made from: one row a view. Enough to make it again, and to see that the registry has moved on.
-- requires: schemas/tapdb
-- drop
DROP TABLE IF EXISTS tapdb.view_definition;
-- create
CREATE TABLE tapdb.view_definition (
  view_schema text NOT NULL,
  view_name text NOT NULL,
  registry_schema text NOT NULL,
  config_yaml text NOT NULL,
  config_sha256 text NOT NULL,
  fingerprint jsonb NOT NULL,
  geometry_mode text NOT NULL,
  software_version text NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  CONSTRAINT view_definition_pkey PRIMARY KEY (view_schema, view_name),
  CONSTRAINT view_definition_config_sha256_check CHECK (config_sha256 ~ '^[0-9a-f]{64}$')
);
ALTER TABLE tapdb.view_definition OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.view_definition IS 'What each published view was made from: one row a view.';
COMMENT ON COLUMN tapdb.view_definition.view_schema IS 'Schema of the view, such as ivoa.';
COMMENT ON COLUMN tapdb.view_definition.view_name IS 'Name of the view as PostgreSQL stores it, such as obscore.';
COMMENT ON COLUMN tapdb.view_definition.registry_schema IS 'Schema of the Butler registry that the view reads.';
COMMENT ON COLUMN tapdb.view_definition.config_yaml IS 'ObsCore configuration, the YAML text as it was given.';
COMMENT ON COLUMN tapdb.view_definition.config_sha256 IS 'SHA-256 of config_yaml in UTF-8, hexadecimal.';
COMMENT ON COLUMN tapdb.view_definition.fingerprint IS 'What was read of the registry: managers, dimension universe, dataset types and their tables, column types.';
COMMENT ON COLUMN tapdb.view_definition.geometry_mode IS 'How searches by position are made fast.';
COMMENT ON COLUMN tapdb.view_definition.software_version IS 'Version of tapdb that made the view.';
COMMENT ON COLUMN tapdb.view_definition.created_at IS 'When the view was made.';
REVOKE ALL ON TABLE tapdb.view_definition FROM PUBLIC;
