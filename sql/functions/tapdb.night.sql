-- The observing day of a time: the date, as YYYYMMDD, at the place whose day begins so many hours after midnight UTC; 12 for Rubin Observatory
-- (SITCOMTN-032), where no night has noon UTC in it.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.night(double precision, double precision);
-- create
CREATE FUNCTION tapdb.night(mjd double precision, hours double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10
AS $$
SELECT (extract(year FROM n.day) * 10000 + extract(month FROM n.day) * 100 + extract(day FROM n.day))::integer
FROM (SELECT date '1858-11-17' + floor(mjd - hours / 24)::integer) n (day)
$$;
ALTER FUNCTION tapdb.night(double precision, double precision) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.night(double precision, double precision) IS 'Observing day (YYYYMMDD) of a time (MJD, UTC), given the hour UTC at which days begin.';
GRANT EXECUTE ON FUNCTION tapdb.night(double precision, double precision) TO PUBLIC;
