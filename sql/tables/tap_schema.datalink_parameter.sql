-- Inputs of the services: a column of the table, a constant, or left to the user (DataLink 1.1 section 4.1).
-- requires: schemas/tap_schema, roles/tapdb_reader, tables/tap_schema.columns, tables/tap_schema.datalink_service
-- drop
DROP TABLE IF EXISTS tap_schema.datalink_parameter;
-- create
CREATE TABLE tap_schema.datalink_parameter (
  service_id text NOT NULL,
  parameter_name text NOT NULL,
  table_name text,
  column_name text,
  value text,
  datatype text NOT NULL DEFAULT 'char',
  arraysize text,
  xtype text,
  unit text,
  ucd text,
  description text,
  parameter_index integer,
  CONSTRAINT datalink_parameter_pkey PRIMARY KEY (service_id, parameter_name),
  CONSTRAINT datalink_parameter_service_id_fkey FOREIGN KEY (service_id) REFERENCES tap_schema.datalink_service (service_id)
    DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT datalink_parameter_column_name_fkey FOREIGN KEY (table_name, column_name)
    REFERENCES tap_schema.columns (table_name, column_name) MATCH FULL DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT datalink_parameter_value_check CHECK (value IS NULL OR column_name IS NULL)
);
ALTER TABLE tap_schema.datalink_parameter OWNER TO tapdb_owner;
COMMENT ON TABLE tap_schema.datalink_parameter IS 'Inputs of the services in datalink_service';
COMMENT ON COLUMN tap_schema.datalink_parameter.service_id IS 'Service that takes the input';
COMMENT ON COLUMN tap_schema.datalink_parameter.parameter_name IS 'Name of the input';
COMMENT ON COLUMN tap_schema.datalink_parameter.table_name IS 'Table of the column that gives the value; empty if none does';
COMMENT ON COLUMN tap_schema.datalink_parameter.column_name IS 'Column that gives the value; empty if none does';
COMMENT ON COLUMN tap_schema.datalink_parameter.value IS 'Constant value; empty if a column gives it or the user has to';
COMMENT ON COLUMN tap_schema.datalink_parameter.datatype IS 'Type in VOTable';
COMMENT ON COLUMN tap_schema.datalink_parameter.arraysize IS 'Number of elements in VOTable; empty for a single one';
COMMENT ON COLUMN tap_schema.datalink_parameter.xtype IS 'What the value is beyond its type (DALI)';
COMMENT ON COLUMN tap_schema.datalink_parameter.unit IS 'Unit of the value (VOUnits)';
COMMENT ON COLUMN tap_schema.datalink_parameter.ucd IS 'Kind of the quantity (UCD1+)';
COMMENT ON COLUMN tap_schema.datalink_parameter.description IS 'What the input means';
COMMENT ON COLUMN tap_schema.datalink_parameter.parameter_index IS 'Order of the inputs of a service';
REVOKE ALL ON TABLE tap_schema.datalink_parameter FROM PUBLIC;
GRANT SELECT ON TABLE tap_schema.datalink_parameter TO tapdb_reader;
