-- All that ObsCore says of a Butler region's place on the sky, decoded in one pass: what the geometry tables keep of each region.
-- s_ra, s_dec and s_fov (degrees, ICRS) are the centre and the diameter of the bounding circle as sphgeom's
-- ConvexPolygon::getBoundingCircle computes it: the centroid of the polygon after Brock, not the mean of the vertices.
-- s_region is tapdb.s_region(region). pgs_region is NULL where pg_sphere refuses the polygon (edges below about 1e-9 rad, more than a hemisphere):
-- the exception is caught, since an error here would be an error of Butler's own INSERT. A block that catches needs a
-- subtransaction, which no parallel worker may start: hence PARALLEL UNSAFE.
-- No row for anything but an encoded ConvexPolygon.
-- OR REPLACE: views of older revisions call it, and stay.
-- requires: schemas/tapdb, roles/tapdb_owner, functions/tapdb.le_float8, functions/tapdb.stcs_vertex
-- drop
DROP FUNCTION IF EXISTS tapdb.footprint(text);
-- create
CREATE OR REPLACE FUNCTION tapdb.footprint(
  region text,
  OUT s_ra double precision, OUT s_dec double precision, OUT s_fov double precision, OUT s_region text, OUT pgs_region public.spoly
) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE COST 600 ROWS 1
AS $$
DECLARE
  b bytea; n integer; o integer := 1;
  x double precision; y double precision; z double precision; d double precision;
  px double precision; py double precision; pz double precision;
  vx double precision; vy double precision; vz double precision; nv double precision; a double precision;
  cx double precision := 0; cy double precision := 0; cz double precision := 0; far double precision := 0;
  lon double precision; lat double precision;
  xs double precision[]; i integer := 1;
  outline text := '{';
BEGIN
  -- The same tests as in tapdb.s_region.
  IF length(region) % 4 <> 0 OR region !~ '^[A-Za-z0-9+/]+={0,2}$' THEN RETURN; END IF;
  b := decode(region, 'base64'); n := length(b);
  IF n < 73 OR n % 24 <> 1 OR get_byte(b, 0) <> 112 THEN RETURN; END IF;
  s_region := 'POLYGON ICRS';
  px := tapdb.le_float8(b, n - 24); py := tapdb.le_float8(b, n - 16); pz := tapdb.le_float8(b, n - 8);
  WHILE o < n LOOP
    x := tapdb.le_float8(b, o); y := tapdb.le_float8(b, o + 8); z := tapdb.le_float8(b, o + 16);
    d := x * x + y * y;
    IF d + z * z NOT BETWEEN 0.999999 AND 1.000001 THEN RETURN; END IF;
    vx := (py + y) * (z - pz) - (pz + z) * (y - py);
    vy := (pz + z) * (x - px) - (px + x) * (z - pz);
    vz := (px + x) * (y - py) - (py + y) * (x - px);
    nv := sqrt(vx * vx + vy * vy + vz * vz);
    IF nv > 0 THEN
      a := atan2(0.5 * nv, px * x + py * y + pz * z) / nv;
      cx := cx + vx * a; cy := cy + vy * a; cz := cz + vz * a;
    END IF;
    lon := atan2(y, x); lat := atan2(z, sqrt(d));
    outline := outline || '(' || lon::text || ',' || lat::text || '),';
    lon := degrees(lon); lat := degrees(lat); IF lon < 0 THEN lon := lon + 360; END IF;
    s_region := s_region || tapdb.stcs_vertex(lon, lat);
    xs[i] := x; xs[i + 1] := y; xs[i + 2] := z; i := i + 3;
    px := x; py := y; pz := z; o := o + 24;
  END LOOP;
  nv := sqrt(cx * cx + cy * cy + cz * cz);
  IF nv > 0 THEN
    cx := cx / nv; cy := cy / nv; cz := cz / nv; i := 1;
    WHILE i < o / 8 LOOP
      x := xs[i] - cx; y := xs[i + 1] - cy; z := xs[i + 2] - cz;
      far := greatest(far, x * x + y * y + z * z);
      i := i + 3;
    END LOOP;
    lon := degrees(atan2(cy, cx)); IF lon < 0 THEN lon := lon + 360; END IF;
    s_ra := lon; s_dec := degrees(atan2(cz, sqrt(cx * cx + cy * cy)));
    -- sphgeom adds twice its largest error of a squared chord, 2.5e-15.
    s_fov := 2 * degrees(2 * asin(least(1, 0.5 * sqrt(far + 5e-15))));
  END IF;
  BEGIN
    pgs_region := (rtrim(outline, ',') || '}')::public.spoly;
  EXCEPTION WHEN internal_error OR data_exception THEN
    pgs_region := NULL;
  END;
  RETURN NEXT;
END
$$;
ALTER FUNCTION tapdb.footprint(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.footprint(text) IS 'Bounding circle (degrees, ICRS), STC-S text and pg_sphere polygon of a Butler region; no row if it is not an encoded ConvexPolygon.';
GRANT EXECUTE ON FUNCTION tapdb.footprint(text) TO PUBLIC;
