-- sha256 0e100c407f056c3664ded2805b53a6fc13d4cf8af89c5014079f5481a4f4d6af
-- How to take each publication of TAP_SCHEMA back: the rows that it changed or took away as they were, the keys of those it added.
-- requires: schemas/tapdb, tables/tap_schema.generation
-- drop
DROP TABLE IF EXISTS tapdb.tap_schema_undo;
-- create
CREATE TABLE tapdb.tap_schema_undo (
  generation bigint NOT NULL,
  undo jsonb NOT NULL,
  CONSTRAINT tap_schema_undo_pkey PRIMARY KEY (generation),
  CONSTRAINT tap_schema_undo_generation_fkey FOREIGN KEY (generation) REFERENCES tap_schema.generation (generation)
    ON DELETE CASCADE
);
ALTER TABLE tapdb.tap_schema_undo OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.tap_schema_undo IS 'How to take each publication of TAP_SCHEMA back.';
COMMENT ON COLUMN tapdb.tap_schema_undo.generation IS 'Publication, as in tap_schema.generation.';
COMMENT ON COLUMN tapdb.tap_schema_undo.undo IS 'By table: "restore", rows as they were before; "remove", keys of rows that were new.';
REVOKE ALL ON TABLE tapdb.tap_schema_undo FROM PUBLIC;
