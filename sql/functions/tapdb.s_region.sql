-- ObsCore s_region of a Butler region: STC-S 'POLYGON ICRS lon lat ...' in degrees with six decimals.
-- The text is the one that daf_butler's DefaultSpatialObsCorePlugin writes, Python's '-0.000000' included.
-- NULL, never an error, for anything but an encoded sphgeom.ConvexPolygon: circles, boxes, unions, garbage.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.le_float8, functions/tapdb.stcs_vertex
-- drop
DROP FUNCTION IF EXISTS tapdb.s_region(text);
-- create
CREATE FUNCTION tapdb.s_region(region text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200
AS $$
DECLARE
  b bytea; n integer; o integer := 1;
  x double precision; y double precision; z double precision; d double precision;
  lon double precision; lat double precision;
  stcs text := 'POLYGON ICRS';
BEGIN
  -- Everything that decode() would refuse; ':' joins regions in a union that SQL has aggregated, '' is an empty union.
  IF length(region) % 4 <> 0 OR region !~ '^[A-Za-z0-9+/]+={0,2}$' THEN RETURN NULL; END IF;
  b := decode(region, 'base64'); n := length(b);
  -- A ConvexPolygon is the code 'p' (112) and three doubles for each of three or more vertices.
  IF n < 73 OR n % 24 <> 1 OR get_byte(b, 0) <> 112 THEN RETURN NULL; END IF;
  WHILE o < n LOOP
    x := tapdb.le_float8(b, o); y := tapdb.le_float8(b, o + 8); z := tapdb.le_float8(b, o + 16);
    d := x * x + y * y;
    IF d + z * z NOT BETWEEN 0.999999 AND 1.000001 THEN RETURN NULL; END IF;
    lon := degrees(atan2(y, x)); lat := degrees(atan2(z, sqrt(d)));
    IF lon < 0 THEN lon := lon + 360; END IF;
    stcs := stcs || tapdb.stcs_vertex(lon, lat);
    o := o + 24;
  END LOOP;
  RETURN stcs;
END
$$;
ALTER FUNCTION tapdb.s_region(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.s_region(text) IS 'STC-S polygon (ICRS, degrees) of a Butler region; NULL if it is not an encoded ConvexPolygon.';
GRANT EXECUTE ON FUNCTION tapdb.s_region(text) TO PUBLIC;
