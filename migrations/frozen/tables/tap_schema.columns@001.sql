-- sha256 630b04b14ef85f68f77740b471c15f8ba6db72d4f2fff4353ee8a3716a5790f2
-- Columns that are published (TAP 1.1 section 4.3). "size" is computed, so that it can never disagree with arraysize.
-- requires: schemas/tap_schema, roles/tapdb_reader, tables/tap_schema.tables
-- drop
DROP TABLE IF EXISTS tap_schema.columns;
-- create
CREATE TABLE tap_schema.columns (
  table_name text NOT NULL,
  column_name text NOT NULL,
  datatype text NOT NULL,
  arraysize text,
  xtype text,
  "size" integer GENERATED ALWAYS AS (CASE WHEN arraysize ~ '^[0-9]{1,9}[*]?$' THEN rtrim(arraysize, '*')::integer END) STORED,
  description text,
  utype text,
  unit text,
  ucd text,
  indexed integer NOT NULL DEFAULT 0,
  principal integer NOT NULL DEFAULT 0,
  std integer NOT NULL DEFAULT 0,
  column_index integer,
  CONSTRAINT columns_pkey PRIMARY KEY (table_name, column_name),
  CONSTRAINT columns_table_name_fkey FOREIGN KEY (table_name) REFERENCES tap_schema.tables (table_name)
    DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT columns_datatype_check CHECK (datatype IN ('boolean', 'bit', 'unsignedByte', 'short', 'int', 'long', 'char',
    'unicodeChar', 'float', 'double', 'floatComplex', 'doubleComplex')),
  CONSTRAINT columns_arraysize_check CHECK (arraysize ~ '^([0-9]+x)*([0-9]+[*]?|[*])$' AND arraysize <> '1'),
  CONSTRAINT columns_indexed_check CHECK (indexed IN (0, 1)),
  CONSTRAINT columns_principal_check CHECK (principal IN (0, 1)),
  CONSTRAINT columns_std_check CHECK (std IN (0, 1))
);
ALTER TABLE tap_schema.columns OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.columns IS 'Columns of the tables in this service';
COMMENT ON COLUMN tap_schema.columns.table_name IS 'Table that the column belongs to';
COMMENT ON COLUMN tap_schema.columns.column_name IS 'Name of the column, as a query has to write it';
COMMENT ON COLUMN tap_schema.columns.datatype IS 'Type in VOTable';
COMMENT ON COLUMN tap_schema.columns.arraysize IS 'Number of elements in VOTable; empty for a single one';
COMMENT ON COLUMN tap_schema.columns.xtype IS 'What the values are beyond their type, such as timestamp or polygon (DALI)';
COMMENT ON COLUMN tap_schema.columns."size" IS 'Deprecated: the number in arraysize, if it is one';
COMMENT ON COLUMN tap_schema.columns.description IS 'What the column holds';
COMMENT ON COLUMN tap_schema.columns.utype IS 'Place of the column in a data model';
COMMENT ON COLUMN tap_schema.columns.unit IS 'Unit of the values (VOUnits)';
COMMENT ON COLUMN tap_schema.columns.ucd IS 'Kind of the quantity (UCD1+)';
COMMENT ON COLUMN tap_schema.columns.indexed IS '1 if conditions on the column can use an index, else 0';
COMMENT ON COLUMN tap_schema.columns.principal IS '1 if the column is shown by default, else 0';
COMMENT ON COLUMN tap_schema.columns.std IS '1 if a standard defines the column, else 0';
COMMENT ON COLUMN tap_schema.columns.column_index IS 'Recommended order of the columns of a table';
REVOKE ALL ON TABLE tap_schema.columns FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.columns TO tapdb_reader;
