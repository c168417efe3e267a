-- The columns of TAP_SCHEMA that `tapdb query` reads.
CREATE SCHEMA tap_schema;
CREATE TABLE tap_schema.tables (table_name text);
CREATE TABLE tap_schema.columns (
    table_name text, column_name text, datatype text, arraysize text, xtype text, unit text, ucd text, utype text,
    description text, indexed integer, column_index integer
);
