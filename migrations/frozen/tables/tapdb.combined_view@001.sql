-- sha256 66bc35881b4ca1872b22564fae3df33be2a654b85f6bfc0d85360d9d0fcd4c90
-- Views over the kept tables of several views, which show them as one: repositories that are searched together.
-- requires: schemas/tapdb, tables/tapdb.view_definition
-- drop
DROP TABLE IF EXISTS tapdb.combined_view;
-- create
CREATE TABLE tapdb.combined_view (
  view_schema text NOT NULL,
  view_name text NOT NULL,
  parts text[] NOT NULL,
  first_only boolean NOT NULL,
  statement_sha256 text NOT NULL,
  software_version text NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  CONSTRAINT combined_view_pkey PRIMARY KEY (view_schema, view_name),
  CONSTRAINT combined_view_parts_check CHECK (cardinality(parts) > 1),
  CONSTRAINT combined_view_statement_sha256_check CHECK (statement_sha256 ~ '^[0-9a-f]{64}$')
);
ALTER TABLE tapdb.combined_view OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.combined_view IS 'Views that show several others as one.';
COMMENT ON COLUMN tapdb.combined_view.view_schema IS 'Schema of the view, such as ivoa.';
COMMENT ON COLUMN tapdb.combined_view.view_name IS 'Name of the view as PostgreSQL stores it, such as obscore.';
COMMENT ON COLUMN tapdb.combined_view.parts IS 'Views that it shows, schema and name with a dot between them, by rank.';
COMMENT ON COLUMN tapdb.combined_view.first_only IS 'Whether a dataset that several have is shown as the first of them has it.';
COMMENT ON COLUMN tapdb.combined_view.statement_sha256 IS 'SHA-256 of its SELECT in UTF-8, hexadecimal.';
COMMENT ON COLUMN tapdb.combined_view.software_version IS 'Version of tapdb that made it.';
COMMENT ON COLUMN tapdb.combined_view.created_at IS 'When it was made.';
REVOKE ALL ON TABLE tapdb.combined_view FROM PUBLIC;
