-- Tables of which all versions are kept.
-- requires: grants/tapdb_reader, schemas/ppdb_history
-- drop
DROP TABLE IF EXISTS ppdb_history.versioned_table;
-- create
CREATE TABLE ppdb_history.versioned_table (
  table_name text NOT NULL,
  table_schema text NOT NULL,
  key_columns text[] NOT NULL,
  from_snapshot bigint NOT NULL,
  CONSTRAINT versioned_table_pkey PRIMARY KEY (table_name)
);
ALTER TABLE ppdb_history.versioned_table OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.versioned_table IS 'Tables of which all versions are kept: ppdb_history has a relation of the same name with all of them.';
COMMENT ON COLUMN ppdb_history.versioned_table.table_name IS 'Name of the table, as PostgreSQL stores it.';
COMMENT ON COLUMN ppdb_history.versioned_table.table_schema IS 'Schema of the table that holds the current rows.';
COMMENT ON COLUMN ppdb_history.versioned_table.key_columns IS 'Primary key of the current rows.';
COMMENT ON COLUMN ppdb_history.versioned_table.from_snapshot IS 'Snapshot with which the versions begin.';
REVOKE ALL ON TABLE ppdb_history.versioned_table FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.versioned_table TO tapdb_reader;
