-- sha256 acba7f00a3497b6dfb6c102b88c023c3371f93e79eaef32563348c4cf021eda5
-- Published columns under the names and with the further columns that OpenCADC's TAP reads (cadc-tap-schema 1.2.13).
-- column_id is the ID of the FIELD in VOTable, which DataLink descriptors refer to: letters, digits, _, - and . alone, and a letter or _ first.
-- requires: tables/tap_schema.columns, roles/tapdb_reader
-- drop
DROP VIEW IF EXISTS tap_schema.columns11;
-- create
CREATE VIEW tap_schema.columns11 AS
SELECT table_name, column_name, utype, ucd, unit, description, datatype, arraysize, xtype, "size", principal, indexed, std, column_index,
  regexp_replace(
    regexp_replace(replace(replace(table_name, '.', '_') || '_' || column_name, '"', ''), '[^A-Za-z0-9_.-]', '_', 'g'),
    '^(?![A-Za-z_])', '_') AS column_id,
  NULL::varchar(256) AS owner_id, 1 AS read_anon, NULL::varchar(128) AS read_only_group, NULL::varchar(128) AS read_write_group
FROM tap_schema.columns;
ALTER VIEW tap_schema.columns11 OWNER TO tapdb_owner;
COMMENT ON VIEW tap_schema.columns11 IS 'Published columns for OpenCADC, with the IDs of their FIELDs in VOTable';
COMMENT ON COLUMN tap_schema.columns11.table_name IS 'Table that the column belongs to';
COMMENT ON COLUMN tap_schema.columns11.column_name IS 'Name of the column, as a query has to write it';
COMMENT ON COLUMN tap_schema.columns11.utype IS 'Place of the column in a data model';
COMMENT ON COLUMN tap_schema.columns11.ucd IS 'Kind of the quantity (UCD1+)';
COMMENT ON COLUMN tap_schema.columns11.unit IS 'Unit of the values (VOUnits)';
COMMENT ON COLUMN tap_schema.columns11.description IS 'What the column holds';
COMMENT ON COLUMN tap_schema.columns11.datatype IS 'Type in VOTable';
COMMENT ON COLUMN tap_schema.columns11.arraysize IS 'Number of elements in VOTable; empty for a single one';
COMMENT ON COLUMN tap_schema.columns11.xtype IS 'What the values are beyond their type, such as timestamp or polygon (DALI)';
COMMENT ON COLUMN tap_schema.columns11."size" IS 'Deprecated: the number in arraysize, if it is one';
COMMENT ON COLUMN tap_schema.columns11.principal IS '1 if the column is shown by default, else 0';
COMMENT ON COLUMN tap_schema.columns11.indexed IS '1 if conditions on the column can use an index, else 0';
COMMENT ON COLUMN tap_schema.columns11.std IS '1 if a standard defines the column, else 0';
COMMENT ON COLUMN tap_schema.columns11.column_index IS 'Recommended order of the columns of a table';
COMMENT ON COLUMN tap_schema.columns11.column_id IS 'ID of the FIELD in VOTable, to which DataLink descriptors refer';
COMMENT ON COLUMN tap_schema.columns11.owner_id IS 'Owner, for OpenCADC: nobody';
COMMENT ON COLUMN tap_schema.columns11.read_anon IS '1: everybody may read it, for OpenCADC';
COMMENT ON COLUMN tap_schema.columns11.read_only_group IS 'Group that may read, for OpenCADC: none';
COMMENT ON COLUMN tap_schema.columns11.read_write_group IS 'Group that may write, for OpenCADC: none';
REVOKE ALL ON TABLE tap_schema.columns11 FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.columns11 TO tapdb_reader;
