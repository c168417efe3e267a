-- sha256 f362988b258e41f69affab1d3dfa4ca3dc3d15793dfc1cb0eec9ec941019efd1
-- Which columns each versioned table had, from which snapshot to which: what SELECT * means as of a snapshot.
-- requires: tables/ppdb_history.versioned_table
-- drop
DROP TABLE IF EXISTS ppdb_history.versioned_column;
-- create
CREATE TABLE ppdb_history.versioned_column (
  table_name text NOT NULL,
  column_name text NOT NULL,
  ordinal integer NOT NULL,
  data_type text NOT NULL,
  snap_from bigint NOT NULL,
  snap_to bigint NOT NULL DEFAULT 9223372036854775807,
  CONSTRAINT versioned_column_pkey PRIMARY KEY (table_name, column_name),
  CONSTRAINT versioned_column_table_fkey FOREIGN KEY (table_name)
    REFERENCES ppdb_history.versioned_table (table_name) ON DELETE CASCADE
);
ALTER TABLE ppdb_history.versioned_column OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.versioned_column IS 'Columns of the versioned tables, with the snapshots from which and to which each belonged to its table.';
COMMENT ON COLUMN ppdb_history.versioned_column.table_name IS 'Versioned table.';
COMMENT ON COLUMN ppdb_history.versioned_column.column_name IS 'Name of the column, as PostgreSQL stores it.';
COMMENT ON COLUMN ppdb_history.versioned_column.ordinal IS 'Place of the column, from 1.';
COMMENT ON COLUMN ppdb_history.versioned_column.data_type IS 'Type, as PostgreSQL writes it.';
COMMENT ON COLUMN ppdb_history.versioned_column.snap_from IS 'First snapshot in which the table has the column.';
COMMENT ON COLUMN ppdb_history.versioned_column.snap_to IS 'First snapshot in which it no longer has it; 9223372036854775807 while it has.';
REVOKE ALL ON TABLE ppdb_history.versioned_column FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.versioned_column TO tapdb_reader;
