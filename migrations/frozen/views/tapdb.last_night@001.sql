-- sha256 5aa9c170e21070bf70a9bbf8c78cf6eecff58b95b9c47afdda41fc2d39aa9a9d
-- Coverage of the last night of each instrument in which something was observed.
-- requires: views/tapdb.coverage
-- drop
DROP VIEW IF EXISTS tapdb.last_night;
-- create
CREATE VIEW tapdb.last_night AS
SELECT c.* FROM tapdb.coverage c
WHERE c.t_min IS NOT NULL AND NOT EXISTS (
  SELECT FROM tapdb.coverage d
  WHERE d.obscore_table = c.obscore_table AND d.instrument_name = c.instrument_name AND d.t_min IS NOT NULL AND d.day_obs > c.day_obs);
ALTER VIEW tapdb.last_night OWNER TO tapdb_owner;
COMMENT ON VIEW tapdb.last_night IS 'Coverage of the last night of each instrument.';
REVOKE ALL ON TABLE tapdb.last_night FROM PUBLIC;
