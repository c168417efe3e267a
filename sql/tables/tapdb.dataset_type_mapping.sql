-- What each dataset type is in ObsCore's words: one row for each view, set of kept tables and dataset type.
-- The views join it, or have its values as constants where nothing is kept.
-- requires: tables/tapdb.view_definition
-- drop
DROP TABLE IF EXISTS tapdb.dataset_type_mapping;
-- create
CREATE TABLE tapdb.dataset_type_mapping (
  view_schema text NOT NULL,
  view_name text NOT NULL,
  dataset_type text NOT NULL,
  registered boolean NOT NULL,
  dimensions text[],
  dataproduct_type text,
  dataproduct_subtype text,
  calib_level smallint NOT NULL,
  o_ucd text,
  access_format text,
  obs_collection text,
  facility_name text,
  s_xel1 bigint,
  s_xel2 bigint,
  obs_id_fmt text,
  access_url_fmt text,
  obs_publisher_did_fmt text,
  extra_columns jsonb NOT NULL DEFAULT '{}',
  number smallint,
  kept text NOT NULL DEFAULT '',
  CONSTRAINT dataset_type_mapping_pkey PRIMARY KEY (view_schema, view_name, kept, dataset_type),
  CONSTRAINT dataset_type_mapping_number_key UNIQUE (kept, number),
  CONSTRAINT dataset_type_mapping_view_fkey FOREIGN KEY (view_schema, view_name, kept)
    REFERENCES tapdb.view_definition (view_schema, view_name, kept) ON UPDATE CASCADE ON DELETE CASCADE,
  CONSTRAINT dataset_type_mapping_calib_level_check CHECK (calib_level BETWEEN 0 AND 4)
);
ALTER TABLE tapdb.dataset_type_mapping OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.dataset_type_mapping IS 'What each Butler dataset type is in ObsCore: one row for each view and dataset type.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.view_schema IS 'Schema of the view.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.view_name IS 'Name of the view as PostgreSQL stores it.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.dataset_type IS 'Butler dataset type, such as visit_image.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.registered IS 'Whether the registry knows the dataset type; if not, the view has no rows of it yet.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.dimensions IS 'Required dimensions of the dataset type, in the order of the dimension universe; NULL if it is not registered.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.dataproduct_type IS 'ObsCore dataproduct_type: image, spectrum, ...';
COMMENT ON COLUMN tapdb.dataset_type_mapping.dataproduct_subtype IS 'ObsCore dataproduct_subtype, such as lsst.visit_image.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.calib_level IS 'ObsCore calib_level, 0 to 4.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.o_ucd IS 'ObsCore o_ucd: UCD of the observable.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.access_format IS 'ObsCore access_format: media type of what access_url gives.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.obs_collection IS 'ObsCore obs_collection.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.facility_name IS 'ObsCore facility_name where the instrument does not decide.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.s_xel1 IS 'ObsCore s_xel1: pixels along the first spatial axis.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.s_xel2 IS 'ObsCore s_xel2: pixels along the second spatial axis.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.obs_id_fmt IS 'Python format string of obs_id over the data ID.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.access_url_fmt IS 'Python format string of access_url over the data ID and the dataset UUID.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.obs_publisher_did_fmt IS 'Python format string of obs_publisher_did.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.extra_columns IS 'Further columns of the configuration: name to constant, or to format string and type.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.number IS 'Number of the dataset type in the kept rows of the view.';
COMMENT ON COLUMN tapdb.dataset_type_mapping.kept IS 'What begins the names of the kept tables with these numbers.';
REVOKE ALL ON TABLE tapdb.dataset_type_mapping FROM PUBLIC;
