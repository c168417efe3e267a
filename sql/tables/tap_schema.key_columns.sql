-- Pairs of columns of the foreign keys (TAP 1.1 section 4.5).
-- requires: schemas/tap_schema, roles/tapdb_reader, tables/tap_schema.keys
-- drop
DROP TABLE IF EXISTS tap_schema.key_columns;
-- create
CREATE TABLE tap_schema.key_columns (
  key_id text NOT NULL,
  from_column text NOT NULL,
  target_column text NOT NULL,
  CONSTRAINT key_columns_pkey PRIMARY KEY (key_id, from_column),
  CONSTRAINT key_columns_key_id_fkey FOREIGN KEY (key_id) REFERENCES tap_schema.keys (key_id)
    DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE tap_schema.key_columns OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.key_columns IS 'Pairs of columns of the foreign keys';
COMMENT ON COLUMN tap_schema.key_columns.key_id IS 'Key that the pair belongs to';
COMMENT ON COLUMN tap_schema.key_columns.from_column IS 'Column of the table that refers to another one';
COMMENT ON COLUMN tap_schema.key_columns.target_column IS 'Column of the table that is referred to';
REVOKE ALL ON TABLE tap_schema.key_columns FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.key_columns TO tapdb_reader;
