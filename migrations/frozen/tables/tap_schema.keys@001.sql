-- sha256 2b58c7954807dac31ba798ded9b96ab4bae22cfd8df107e8dbac7e23392f64b2
-- Foreign keys between published tables (TAP 1.1 section 4.4).
-- requires: schemas/tap_schema, roles/tapdb_reader, tables/tap_schema.tables
-- drop
DROP TABLE IF EXISTS tap_schema.keys;
-- create
CREATE TABLE tap_schema.keys (
  key_id text NOT NULL,
  from_table text NOT NULL,
  target_table text NOT NULL,
  description text,
  utype text,
  CONSTRAINT keys_pkey PRIMARY KEY (key_id),
  CONSTRAINT keys_from_table_fkey FOREIGN KEY (from_table) REFERENCES tap_schema.tables (table_name)
    DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT keys_target_table_fkey FOREIGN KEY (target_table) REFERENCES tap_schema.tables (table_name)
    DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE tap_schema.keys OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.keys IS 'Foreign keys between tables in this service';
COMMENT ON COLUMN tap_schema.keys.key_id IS 'Identifier of the key';
COMMENT ON COLUMN tap_schema.keys.from_table IS 'Table that refers to another one';
COMMENT ON COLUMN tap_schema.keys.target_table IS 'Table that is referred to';
COMMENT ON COLUMN tap_schema.keys.description IS 'What the key means';
COMMENT ON COLUMN tap_schema.keys.utype IS 'Place of the key in a data model';
REVOKE ALL ON TABLE tap_schema.keys FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.keys TO tapdb_reader;
