-- Observations that are planned or were performed: the 26 columns of ObsLocTAP 1.0, and the region for searches.
SELECT t_planning, target_name, obs_id, obs_collection, s_ra, s_dec, s_fov, s_region, s_resolution, t_min, t_max, t_exptime, t_resolution,
  em_min, em_max, em_res_power, o_ucd, pol_states, pol_xel, facility_name, instrument_name, t_plan_exptime, category, priority,
  execution_status, tracking_type, pgs_region
FROM tapdb.observation_plan
