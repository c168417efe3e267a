-- Coverage of all nights as it was folded last: a row for each dataset type, instrument and band, for tapdb.obscore_summary.
-- requires: schemas/tapdb
-- drop
DROP TABLE IF EXISTS tapdb.coverage_total;
-- create
CREATE TABLE tapdb.coverage_total (
  id bigint GENERATED ALWAYS AS IDENTITY,
  kept text NOT NULL,
  type smallint NOT NULL,
  instrument text,
  band text,
  datasets bigint NOT NULL,
  t_min double precision,
  t_max double precision,
  area double precision NOT NULL,
  moc int8multirange NOT NULL,
  CONSTRAINT coverage_total_pkey PRIMARY KEY (id),
  CONSTRAINT coverage_total_key UNIQUE NULLS NOT DISTINCT (kept, type, instrument, band)
);
ALTER TABLE tapdb.coverage_total OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.coverage_total IS 'Coverage of all nights as it was folded last.';
COMMENT ON COLUMN tapdb.coverage_total.id IS 'Number of the row.';
COMMENT ON COLUMN tapdb.coverage_total.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.coverage_total.type IS 'Number of the dataset type.';
COMMENT ON COLUMN tapdb.coverage_total.instrument IS 'Instrument.';
COMMENT ON COLUMN tapdb.coverage_total.band IS 'Band.';
COMMENT ON COLUMN tapdb.coverage_total.datasets IS 'How many datasets there are.';
COMMENT ON COLUMN tapdb.coverage_total.t_min IS 'Start of the first observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.coverage_total.t_max IS 'End of the last observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.coverage_total.area IS 'Area of the MOC in square degrees.';
COMMENT ON COLUMN tapdb.coverage_total.moc IS 'Sky that they cover: ranges of cells of order 29, NESTED.';
REVOKE ALL ON TABLE tapdb.coverage_total FROM PUBLIC;
