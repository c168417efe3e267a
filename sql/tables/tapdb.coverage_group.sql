-- Coverage as it was folded last: a row for each dataset type, instrument, band and night. tapdb.coverage_changes says what has changed since.
-- requires: schemas/tapdb
-- drop
DROP TABLE IF EXISTS tapdb.coverage_group;
-- create
CREATE TABLE tapdb.coverage_group (
  id bigint GENERATED ALWAYS AS IDENTITY,
  kept text NOT NULL,
  type smallint NOT NULL,
  instrument text,
  band text,
  day_obs integer,
  datasets bigint NOT NULL,
  t_min double precision,
  t_max double precision,
  area double precision NOT NULL,
  moc int8multirange NOT NULL,
  pgs_moc public.smoc NOT NULL,
  CONSTRAINT coverage_group_pkey PRIMARY KEY (id),
  CONSTRAINT coverage_group_key UNIQUE NULLS NOT DISTINCT (kept, type, instrument, band, day_obs)
);
ALTER TABLE tapdb.coverage_group OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.coverage_group IS 'Coverage as it was folded last: a row for each dataset type, instrument, band and night.';
COMMENT ON COLUMN tapdb.coverage_group.id IS 'Number of the row.';
COMMENT ON COLUMN tapdb.coverage_group.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.coverage_group.type IS 'Number of the dataset type.';
COMMENT ON COLUMN tapdb.coverage_group.instrument IS 'Instrument.';
COMMENT ON COLUMN tapdb.coverage_group.band IS 'Band.';
COMMENT ON COLUMN tapdb.coverage_group.day_obs IS 'Night, YYYYMMDD.';
COMMENT ON COLUMN tapdb.coverage_group.datasets IS 'How many datasets there are.';
COMMENT ON COLUMN tapdb.coverage_group.t_min IS 'Start of the first observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.coverage_group.t_max IS 'End of the last observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.coverage_group.area IS 'Area of the MOC in square degrees.';
COMMENT ON COLUMN tapdb.coverage_group.moc IS 'Sky that they cover: ranges of cells of order 29, NESTED.';
COMMENT ON COLUMN tapdb.coverage_group.pgs_moc IS 'The same as MOC of pg_sphere.';
REVOKE ALL ON TABLE tapdb.coverage_group FROM PUBLIC;
