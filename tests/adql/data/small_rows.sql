-- A few rows for the tables of the small service; coordinates in degrees, flux in nJy.
INSERT INTO cat."Object" ("objectId", coord_ra, coord_dec, "psfFlux", "psfFluxErr", flux_count) VALUES
    (1, 10, 0, 100, 10, 3), (2, 20, 1, -5, 1, 7), (3, 30, 2, 2.5, 0.5, NULL), (4, NULL, NULL, NULL, NULL, 7);
UPDATE cat."Object" SET
    "detect_isPrimary" = true, band = 'g', name = 'alpha', size = 1.5, epoch = '2024-01-01 12:00',
    uuid = '00000000-0000-0000-0000-000000000001', pos = spoint(0, 0), pixels = '{1,2,3,4}'
WHERE "objectId" = 1;
UPDATE cat."Object" SET
    "detect_isPrimary" = false, band = 'r', name = 'be%ta', size = 2.5, epoch = '2024-06-01'
WHERE "objectId" = 2;
UPDATE cat."Object" SET
    "detect_isPrimary" = true, band = 'r', name = E'ga_\\mma', size = -2.5, pos = spoint(1, 1)
WHERE "objectId" = 3;

INSERT INTO cat."Source" ("sourceId", "objectId", ra, dec, "psfFlux", band) VALUES
    (11, 1, 10, 0, 99, 'g'), (12, 1, 10, 0, 101, 'r'), (13, 3, 30, 2, 2, 'r'), (14, 9, 1, 1, 0, 'y');
INSERT INTO other."Object" ("objectId", note) VALUES (1, 'one'), (9, 'nine');
INSERT INTO spelling."Kinds" VALUES (1, 2);
INSERT INTO ivoa."ObsCore" (obs_id, s_ra, s_dec, s_region, t_min, pgs_region, pgs_center) VALUES
    ('a', 1, 1, 'POLYGON a', 60000, '{(0,0),(0.1,0),(0.1,0.1)}', spoint(0.07, 0.03)),
    ('b', 90, 1, 'POLYGON b', 60001, '{(1.5,0),(1.6,0),(1.6,0.1)}', spoint(1.57, 0.03)),
    ('c', NULL, NULL, NULL, 60002, NULL, NULL);
