-- A catalogue, an observation table with hidden geometry and an upload, with the indexes that a service would have.
CREATE TABLE object (objectid bigint, ra double precision, dec double precision, mag real, name text);
INSERT INTO object
SELECT i, 360 * random(), degrees(asin(2 * random() - 1)), 20, 'object ' || i FROM generate_series(1, 30000) AS i;
CREATE INDEX object_position ON object USING gist (spoint(radians(ra), radians(dec)));
CREATE INDEX object_mag ON object (mag);
CREATE INDEX object_name ON object (name);
CREATE UNIQUE INDEX object_id ON object (objectid);

CREATE TABLE obscore (
    obs_id text, s_ra double precision, s_dec double precision, s_region text, pgs_region spoly, pgs_center spoint
);
INSERT INTO obscore
SELECT
    name, ra, dec, 'POLYGON ICRS ...',
    CAST('{(' || l || ',' || b || '),(' || l + 0.005 || ',' || b || '),(' || l || ',' || b + 0.005 || ')}' AS spoly),
    spoint(l, b)
FROM object, LATERAL (SELECT radians(ra) AS l, radians(dec) AS b) AS r
WHERE abs(dec) < 85;
CREATE INDEX obscore_region ON obscore USING gist (pgs_region);
CREATE INDEX obscore_center ON obscore USING gist (pgs_center);

CREATE TABLE upload (id integer, ra double precision, dec double precision, r double precision);
INSERT INTO upload SELECT objectid, ra, dec, 0.01 FROM object LIMIT 100;
ANALYZE;
