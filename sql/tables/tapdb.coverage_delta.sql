-- What has come to coverage since it was folded last. Rows are only ever added by writers, so that none waits for another; tapdb.fold_coverage
-- takes them. What an observation says (night, band) is looked up when they are read: it may change beside the write.
-- A row adds datasets of an observation and a type, or says that what there is has to be computed again: of an observation, a region or a group.
-- requires: schemas/tapdb
-- drop
DROP TABLE IF EXISTS tapdb.coverage_delta;
-- create
CREATE TABLE tapdb.coverage_delta (
  delta bigint GENERATED ALWAYS AS IDENTITY,
  kept text NOT NULL,
  observation integer,
  type smallint,
  datasets integer NOT NULL DEFAULT 0,
  regions integer[],
  is_again boolean NOT NULL DEFAULT false,
  region integer,
  instrument text,
  band text,
  day_obs integer,
  is_any_day boolean NOT NULL DEFAULT false,
  is_all boolean NOT NULL DEFAULT false,
  CONSTRAINT coverage_delta_pkey PRIMARY KEY (delta)
);
ALTER TABLE tapdb.coverage_delta OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.coverage_delta IS 'What has come to coverage since it was folded last.';
COMMENT ON COLUMN tapdb.coverage_delta.delta IS 'Number of the row.';
COMMENT ON COLUMN tapdb.coverage_delta.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.coverage_delta.observation IS 'Observation of the datasets.';
COMMENT ON COLUMN tapdb.coverage_delta.type IS 'Number of the dataset type; NULL for all.';
COMMENT ON COLUMN tapdb.coverage_delta.datasets IS 'How many datasets have come.';
COMMENT ON COLUMN tapdb.coverage_delta.regions IS 'Regions that they have.';
COMMENT ON COLUMN tapdb.coverage_delta.is_again IS 'Whether coverage has to be computed again, and not added to.';
COMMENT ON COLUMN tapdb.coverage_delta.region IS 'Region whose datasets have to be looked at again.';
COMMENT ON COLUMN tapdb.coverage_delta.instrument IS 'Instrument of a group that has to be computed again.';
COMMENT ON COLUMN tapdb.coverage_delta.band IS 'Band of that group.';
COMMENT ON COLUMN tapdb.coverage_delta.day_obs IS 'Night of that group; of datasets without a time, the one in which they came.';
COMMENT ON COLUMN tapdb.coverage_delta.is_any_day IS 'Whether all nights have to be computed again.';
COMMENT ON COLUMN tapdb.coverage_delta.is_all IS 'Whether all groups have to be.';
REVOKE ALL ON TABLE tapdb.coverage_delta FROM PUBLIC;
