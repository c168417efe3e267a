-- Views of which coverage is kept, by the kept tables that it is made from: tapdb coverage keep. Empty where nobody asked for it.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.coverage_view;
-- create
CREATE TABLE tapdb.coverage_view (
  kept text NOT NULL,
  view_schema text NOT NULL,
  view_name text NOT NULL,
  registry_schema text NOT NULL,
  regions text NOT NULL,
  observed text NOT NULL,
  ingested text NOT NULL,
  images text[] NOT NULL,
  differences text[] NOT NULL,
  templates text[] NOT NULL,
  night_hours double precision NOT NULL DEFAULT 12,
  filled_at timestamp with time zone,
  CONSTRAINT coverage_view_pkey PRIMARY KEY (kept),
  CONSTRAINT coverage_view_name_key UNIQUE (view_schema, view_name)
);
ALTER TABLE tapdb.coverage_view OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.coverage_view IS 'Views of which coverage is kept.';
COMMENT ON COLUMN tapdb.coverage_view.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.coverage_view.view_schema IS 'Schema of the view.';
COMMENT ON COLUMN tapdb.coverage_view.view_name IS 'Name of the view.';
COMMENT ON COLUMN tapdb.coverage_view.registry_schema IS 'Schema of the Butler registry.';
COMMENT ON COLUMN tapdb.coverage_view.regions IS 'Kept table of the regions of the registry.';
COMMENT ON COLUMN tapdb.coverage_view.observed IS 'SELECT of observation, instrument, band, day_obs, t_min, t_max and visit from kept observations (%s).';
COMMENT ON COLUMN tapdb.coverage_view.ingested IS 'Expression of the night in which a dataset came, of its row ds in the registry.';
COMMENT ON COLUMN tapdb.coverage_view.images IS 'Dataset types of images of visits, from which difference images are made.';
COMMENT ON COLUMN tapdb.coverage_view.differences IS 'Dataset types of difference images.';
COMMENT ON COLUMN tapdb.coverage_view.templates IS 'Dataset types of templates.';
COMMENT ON COLUMN tapdb.coverage_view.night_hours IS 'Hour UTC at which an observing day begins.';
COMMENT ON COLUMN tapdb.coverage_view.filled_at IS 'When its coverage was made from all datasets; NULL until then.';
REVOKE ALL ON TABLE tapdb.coverage_view FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.coverage_view TO tapdb_service;
