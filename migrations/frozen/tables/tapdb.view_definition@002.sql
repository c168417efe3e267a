-- sha256 b2603e1d68a5eba6276337c866244da3d83866a7526f46ecd3d21affb37fd31b
-- What each view was made from: one row for each view and set of its kept tables. Enough to make it again, and to see that the registry has moved on.
-- Of the sets of a view one is published; another may be wanted, being filled, or leaving.
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
  kept text NOT NULL DEFAULT '',
  stage text NOT NULL DEFAULT 'published',
  progress jsonb,
  CONSTRAINT view_definition_pkey PRIMARY KEY (view_schema, view_name, kept),
  CONSTRAINT view_definition_stage_check CHECK (stage IN ('wanted', 'filling', 'published', 'leaving')),
  CONSTRAINT view_definition_config_sha256_check CHECK (config_sha256 ~ '^[0-9a-f]{64}$')
);
CREATE UNIQUE INDEX view_definition_published ON tapdb.view_definition (view_schema, view_name) WHERE stage = 'published';
ALTER TABLE tapdb.view_definition OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.view_definition IS 'What each view was made from: one row for each view and set of its kept tables.';
COMMENT ON COLUMN tapdb.view_definition.view_schema IS 'Schema of the view, such as ivoa.';
COMMENT ON COLUMN tapdb.view_definition.view_name IS 'Name of the view as PostgreSQL stores it, such as obscore.';
COMMENT ON COLUMN tapdb.view_definition.registry_schema IS 'Schema of the Butler registry that the view reads.';
COMMENT ON COLUMN tapdb.view_definition.config_yaml IS 'ObsCore configuration, the YAML text as it was given.';
COMMENT ON COLUMN tapdb.view_definition.config_sha256 IS 'SHA-256 of config_yaml in UTF-8, hexadecimal.';
COMMENT ON COLUMN tapdb.view_definition.fingerprint IS 'What was read of the registry: managers, dimension universe, dataset types and their tables, column types.';
COMMENT ON COLUMN tapdb.view_definition.geometry_mode IS 'How searches by position are made fast.';
COMMENT ON COLUMN tapdb.view_definition.software_version IS 'Version of tapdb that made the view.';
COMMENT ON COLUMN tapdb.view_definition.created_at IS 'When the view was made.';
COMMENT ON COLUMN tapdb.view_definition.kept IS 'What begins the names of its kept tables; empty if it has none, or none of this kind.';
COMMENT ON COLUMN tapdb.view_definition.stage IS 'wanted, filling, published or leaving: readers see what is published.';
COMMENT ON COLUMN tapdb.view_definition.progress IS 'How far it is filled; NULL if nothing is being filled.';
REVOKE ALL ON TABLE tapdb.view_definition FROM PUBLIC;
