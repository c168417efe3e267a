-- sha256 ef1b53ee6fed907ba84c8c92517d270fac9d4ae1ec3990b48f61c05efbb288ab
-- Observations that are planned, and those that were performed, as ObsLocTAP 1.0 has them: shown as ivoa.obsplan once something was loaded.
-- What a plan says and what a registry says of one observation is one row: it is planned, and then performed.
-- requires: schemas/tapdb, roles/tapdb_service
-- drop
DROP TABLE IF EXISTS tapdb.observation_plan;
-- create
CREATE TABLE tapdb.observation_plan (
  plan text NOT NULL,
  registry_schema text,
  exposure bigint,
  t_planning double precision NOT NULL,
  target_name text,
  obs_id text NOT NULL,
  obs_collection text,
  s_ra double precision,
  s_dec double precision,
  s_fov double precision,
  s_region text,
  s_resolution double precision,
  t_min double precision,
  t_max double precision,
  t_exptime double precision,
  t_resolution double precision,
  em_min double precision,
  em_max double precision,
  em_res_power double precision,
  o_ucd text,
  pol_states text,
  pol_xel integer,
  facility_name text NOT NULL,
  instrument_name text,
  t_plan_exptime double precision,
  category text NOT NULL,
  priority integer NOT NULL,
  execution_status text NOT NULL,
  tracking_type text NOT NULL,
  pgs_region public.spoly,
  CONSTRAINT observation_plan_key UNIQUE (plan, obs_id),
  CONSTRAINT observation_plan_exposure_key UNIQUE (registry_schema, instrument_name, exposure),
  CONSTRAINT observation_plan_category CHECK (category IN ('Fixed', 'Coordinated', 'Window', 'Other')),
  CONSTRAINT observation_plan_priority CHECK (priority BETWEEN 0 AND 2),
  CONSTRAINT observation_plan_status CHECK (execution_status IN ('Planned', 'Scheduled', 'Unscheduled', 'Performed', 'Aborted')),
  CONSTRAINT observation_plan_tracking CHECK (tracking_type IN ('Sidereal', 'Solar-system-object-tracking', 'Fixed-az-el-transit')),
  CONSTRAINT observation_plan_times CHECK (execution_status NOT IN ('Scheduled', 'Performed') OR num_nulls(t_min, t_max, t_exptime) = 0),
  CONSTRAINT observation_plan_mjd CHECK (t_min <= t_max AND t_min BETWEEN 0 AND 200000 AND t_max BETWEEN 0 AND 200000),
  CONSTRAINT observation_plan_planning CHECK (t_planning BETWEEN 0 AND 200000),
  CONSTRAINT observation_plan_seconds CHECK (t_exptime >= 0 AND t_plan_exptime >= 0 AND t_resolution >= 0 AND t_exptime < 'infinity' AND t_plan_exptime < 'infinity'),
  CONSTRAINT observation_plan_place CHECK (s_ra >= 0 AND s_ra < 360 AND s_dec BETWEEN -90 AND 90 AND s_fov BETWEEN 0 AND 360 AND s_resolution >= 0),
  CONSTRAINT observation_plan_metres CHECK (em_min <= em_max AND em_min > 0 AND em_max < 10000 AND em_res_power > 0),
  CONSTRAINT observation_plan_names CHECK (obs_id <> '' AND facility_name <> '')
);
CREATE INDEX observation_plan_time_idx ON tapdb.observation_plan (t_min, t_max);
CREATE INDEX observation_plan_region_idx ON tapdb.observation_plan USING gist (pgs_region);
CREATE INDEX observation_plan_obs_id_idx ON tapdb.observation_plan (obs_id) WHERE exposure IS NULL;
ALTER TABLE tapdb.observation_plan OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.observation_plan IS 'Observations that are planned, and those that were performed.';
COMMENT ON COLUMN tapdb.observation_plan.plan IS 'Name of the plan; registry schema and instrument for what no plan had.';
COMMENT ON COLUMN tapdb.observation_plan.registry_schema IS 'Schema of the registry with the exposure; NULL until it was performed.';
COMMENT ON COLUMN tapdb.observation_plan.exposure IS 'Exposure in the registry; NULL until it was performed.';
COMMENT ON COLUMN tapdb.observation_plan.t_planning IS 'When the row was planned or changed, MJD (UTC).';
COMMENT ON COLUMN tapdb.observation_plan.target_name IS 'Name of the object or field.';
COMMENT ON COLUMN tapdb.observation_plan.obs_id IS 'Identifier of the observation.';
COMMENT ON COLUMN tapdb.observation_plan.obs_collection IS 'Name of the data collection.';
COMMENT ON COLUMN tapdb.observation_plan.s_ra IS 'Right ascension of the centre, ICRS, deg.';
COMMENT ON COLUMN tapdb.observation_plan.s_dec IS 'Declination of the centre, ICRS, deg.';
COMMENT ON COLUMN tapdb.observation_plan.s_fov IS 'Diameter of a circle that contains the covered region, deg.';
COMMENT ON COLUMN tapdb.observation_plan.s_region IS 'Covered region of the sky, ICRS, as STC-S text.';
COMMENT ON COLUMN tapdb.observation_plan.s_resolution IS 'Spatial resolution: FWHM of the point spread function, arcsec.';
COMMENT ON COLUMN tapdb.observation_plan.t_min IS 'Start of the observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.observation_plan.t_max IS 'End of the observation, MJD (UTC).';
COMMENT ON COLUMN tapdb.observation_plan.t_exptime IS 'Total exposure time, s.';
COMMENT ON COLUMN tapdb.observation_plan.t_resolution IS 'Temporal resolution (FWHM), s.';
COMMENT ON COLUMN tapdb.observation_plan.em_min IS 'Shortest wavelength, in vacuum, m.';
COMMENT ON COLUMN tapdb.observation_plan.em_max IS 'Longest wavelength, in vacuum, m.';
COMMENT ON COLUMN tapdb.observation_plan.em_res_power IS 'Spectral resolving power.';
COMMENT ON COLUMN tapdb.observation_plan.o_ucd IS 'UCD of the observed quantity.';
COMMENT ON COLUMN tapdb.observation_plan.pol_states IS 'Polarization states.';
COMMENT ON COLUMN tapdb.observation_plan.pol_xel IS 'Number of polarization states.';
COMMENT ON COLUMN tapdb.observation_plan.facility_name IS 'Name of the observatory or telescope.';
COMMENT ON COLUMN tapdb.observation_plan.instrument_name IS 'Name of the instrument.';
COMMENT ON COLUMN tapdb.observation_plan.t_plan_exptime IS 'Exposure time that is planned, s.';
COMMENT ON COLUMN tapdb.observation_plan.category IS 'Fixed, Coordinated, Window or Other.';
COMMENT ON COLUMN tapdb.observation_plan.priority IS 'Priority: 0, 1 or 2.';
COMMENT ON COLUMN tapdb.observation_plan.execution_status IS 'Planned, Scheduled, Unscheduled, Performed or Aborted.';
COMMENT ON COLUMN tapdb.observation_plan.tracking_type IS 'Sidereal, Solar-system-object-tracking or Fixed-az-el-transit.';
COMMENT ON COLUMN tapdb.observation_plan.pgs_region IS 'Covered region of the sky, for searches.';
COMMENT ON CONSTRAINT observation_plan_key ON tapdb.observation_plan IS 'an obs_id is there once in a plan';
COMMENT ON CONSTRAINT observation_plan_category ON tapdb.observation_plan IS 'category is Fixed, Coordinated, Window or Other';
COMMENT ON CONSTRAINT observation_plan_priority ON tapdb.observation_plan IS 'priority is 0, 1 or 2';
COMMENT ON CONSTRAINT observation_plan_status ON tapdb.observation_plan IS 'execution_status is Planned, Scheduled, Unscheduled, Performed or Aborted';
COMMENT ON CONSTRAINT observation_plan_tracking ON tapdb.observation_plan IS 'tracking_type is Sidereal, Solar-system-object-tracking or Fixed-az-el-transit';
COMMENT ON CONSTRAINT observation_plan_times ON tapdb.observation_plan IS 'what is Scheduled or Performed has t_min, t_max and t_exptime';
COMMENT ON CONSTRAINT observation_plan_mjd ON tapdb.observation_plan IS 't_min and t_max are MJD, the first not after the second';
COMMENT ON CONSTRAINT observation_plan_planning ON tapdb.observation_plan IS 't_planning is an MJD';
COMMENT ON CONSTRAINT observation_plan_seconds ON tapdb.observation_plan IS 'exposure times and t_resolution are seconds, not negative';
COMMENT ON CONSTRAINT observation_plan_place ON tapdb.observation_plan IS 's_ra is from 0 to less than 360, s_dec from -90 to 90, s_fov from 0 to 360 degrees';
COMMENT ON CONSTRAINT observation_plan_metres ON tapdb.observation_plan IS 'em_min and em_max are metres, the first not above the second';
COMMENT ON CONSTRAINT observation_plan_names ON tapdb.observation_plan IS 'obs_id and facility_name are not empty';
REVOKE ALL ON TABLE tapdb.observation_plan FROM PUBLIC;
GRANT SELECT ON TABLE tapdb.observation_plan TO tapdb_service;
