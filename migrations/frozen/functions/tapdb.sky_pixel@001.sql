-- sha256 49929653ecf2ce20b8ac233c30801ff5cb78e1fa15500c5d2eb1df59a5e76ca6
-- The region of a pixel of the sky, encoded as Butler stores regions: what lsst.sphgeom's HtmPixelization(level).pixel(i) and
-- HealpixPixelization(level).pixel(i) are. Butler has no record of pixels: their regions follow from their numbers.
-- A trixel of HTM is found by halving the sides of one of eight spherical triangles. A pixel of HEALPix (NESTED) is the hull of 16 points on
-- its boundary, four a side, from the northern corner by west. Points of a side that is a great circle are left out.
-- NULL for another pixelization and for a number that it does not have.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.sky_pixel(text, integer, bigint);
-- create
CREATE FUNCTION tapdb.sky_pixel(pixelization text, level integer, pixel bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 500
AS $$
DECLARE
  -- Corners of the octahedron: x, y, z, -x, -y, -z; the three of each trixel of level 0, S0 to N3.
  axes constant double precision[] := '{1,0,0, 0,1,0, 0,0,1, -1,0,0, 0,-1,0, 0,0,-1}';
  roots constant integer[] := '{0,5,1, 1,5,3, 3,5,4, 4,5,0, 0,2,4, 4,2,3, 3,2,1, 1,2,0}';
  -- HEALPix: rings from the north pole to the southern corner of each face, and eighths of a turn to its centre.
  rings constant integer[] := '{2,2,2,2,3,3,3,3,4,4,4,4}';
  turns constant integer[] := '{1,3,5,7,0,2,4,6,1,3,5,7}';
  -- Three components for each vertex.
  v double precision[] := '{}'; m double precision[];
  child integer; face integer; ix bigint := 0; iy bigint := 0;
  x double precision; y double precision; z double precision; r double precision; t double precision;
  ring double precision; phi double precision; near double precision; step double precision;
  xs double precision[]; ys double precision[]; zs double precision[];
  hull integer[] := '{0}'; n integer; a integer; b integer; c integer;
  bytes text := '70'; part text;
BEGIN
  IF level < 0 OR pixel < 0 THEN RETURN NULL; END IF;
  IF pixelization = 'htm' THEN
    IF level > 24 OR pixel >> (2 * level) NOT BETWEEN 8 AND 15 THEN RETURN NULL; END IF;
    face := ((pixel >> (2 * level)) & 7)::integer;
    FOR i IN 1..3 LOOP
      a := 3 * roots[3 * face + i];
      v := v || axes[a + 1 : a + 3];
    END LOOP;
    FOR i IN REVERSE level - 1..0 LOOP
      child := ((pixel >> (2 * i)) & 3)::integer;
      -- Middles of the sides opposite the corners 0, 1 and 2.
      m := '{}';
      FOR k IN 0..2 LOOP
        a := 3 * ((k + 1) % 3); b := 3 * ((k + 2) % 3);
        x := v[a + 1] + v[b + 1]; y := v[a + 2] + v[b + 2]; z := v[a + 3] + v[b + 3];
        r := sqrt(x * x + y * y + z * z);
        m := m || ARRAY[x / r, y / r, z / r];
      END LOOP;
      v := CASE child
        WHEN 0 THEN v[1:3] || m[7:9] || m[4:6]
        WHEN 1 THEN v[4:6] || m[1:3] || m[7:9]
        WHEN 2 THEN v[7:9] || m[4:6] || m[1:3]
        ELSE m END;
    END LOOP;
  ELSIF pixelization = 'healpix' THEN
    IF level > 29 OR pixel >= 12::bigint << (2 * level) THEN RETURN NULL; END IF;
    face := (pixel >> (2 * level))::integer + 1;
    FOR i IN 0..level - 1 LOOP
      ix := ix | (((pixel >> (2 * i)) & 1) << i);
      iy := iy | (((pixel >> (2 * i + 1)) & 1) << i);
    END LOOP;
    step := 1 / (1::bigint << level)::double precision;
    FOR i IN 0..15 LOOP
      t := (i % 4) / 4.0::double precision;
      x := step * (ix + CASE i / 4 WHEN 0 THEN 1 - t WHEN 1 THEN 0 WHEN 2 THEN t ELSE 1 END);
      y := step * (iy + CASE i / 4 WHEN 0 THEN 1 WHEN 1 THEN 1 - t WHEN 2 THEN 0 ELSE t END);
      ring := rings[face] - x - y;
      near := CASE WHEN ring < 1 THEN ring WHEN ring > 3 THEN 4 - ring ELSE 1 END;
      IF ring BETWEEN 1 AND 3 THEN
        z := (2 - ring) * 2 / 3; r := sqrt((1 - z) * (1 + z));
      ELSE
        t := near * near / 3; z := CASE WHEN ring < 1 THEN 1 - t ELSE t - 1 END; r := sqrt(t * (2 - t));
      END IF;
      phi := CASE WHEN near = 0 THEN 0 ELSE pi() / 4 * (turns[face] * near + x - y) / near END;
      xs[i] := r * cos(phi); ys[i] := r * sin(phi); zs[i] := z;
    END LOOP;
    FOR i IN 1..16 LOOP
      c := i % 16;
      LOOP
        n := cardinality(hull); b := hull[n];
        EXIT WHEN b % 4 = 0;
        a := hull[n - 1];
        x := (ys[b] - ys[a]) * (zs[c] - zs[b]) - (zs[b] - zs[a]) * (ys[c] - ys[b]);
        y := (zs[b] - zs[a]) * (xs[c] - xs[b]) - (xs[b] - xs[a]) * (zs[c] - zs[b]);
        z := (xs[b] - xs[a]) * (ys[c] - ys[b]) - (ys[b] - ys[a]) * (xs[c] - xs[b]);
        -- What rounding makes of a straight line is 2e-16 times a length.
        r := sqrt((xs[c] - xs[a]) ^ 2 + (ys[c] - ys[a]) ^ 2 + (zs[c] - zs[a]) ^ 2);
        EXIT WHEN x * xs[b] + y * ys[b] + z * zs[b] > 4e-16 * r;
        hull := hull[1 : n - 1];
      END LOOP;
      hull := hull || c;
    END LOOP;
    FOREACH a IN ARRAY hull[1 : cardinality(hull) - 1] LOOP
      v := v || ARRAY[xs[a], ys[a], zs[a]];
    END LOOP;
  ELSE
    RETURN NULL;
  END IF;
  FOREACH x IN ARRAY v LOOP
    part := encode(float8send(x), 'hex');
    FOR i IN REVERSE 7..0 LOOP
      bytes := bytes || substr(part, 2 * i + 1, 2);
    END LOOP;
  END LOOP;
  RETURN translate(encode(decode(bytes, 'hex'), 'base64'), E'\n', '');
END
$$;
ALTER FUNCTION tapdb.sky_pixel(text, integer, bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.sky_pixel(text, integer, bigint) IS 'Butler region of a pixel of the sky, given htm or healpix, level and number; NULL if there is none.';
GRANT EXECUTE ON FUNCTION tapdb.sky_pixel(text, integer, bigint) TO PUBLIC;
