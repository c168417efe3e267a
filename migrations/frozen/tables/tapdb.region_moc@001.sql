-- sha256 deaf4826e3d969b61bb5506ea6b5f946d98e97930cb7e9d69285e03342bd561f
-- MOCs of kept regions, made once for each, when coverage that needs them is folded. A row of a region that has changed since does not count:
-- it is told by the outline.
-- requires: schemas/tapdb
-- drop
DROP TABLE IF EXISTS tapdb.region_moc;
-- create
CREATE TABLE tapdb.region_moc (
  regions text NOT NULL,
  region integer NOT NULL,
  outline bigint NOT NULL,
  moc int8multirange NOT NULL,
  CONSTRAINT region_moc_pkey PRIMARY KEY (regions, region)
);
ALTER TABLE tapdb.region_moc OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.region_moc IS 'MOCs of kept regions.';
COMMENT ON COLUMN tapdb.region_moc.regions IS 'Kept table of the region.';
COMMENT ON COLUMN tapdb.region_moc.region IS 'Number of the region.';
COMMENT ON COLUMN tapdb.region_moc.outline IS 'hashtextextended of the outline that the MOC is of.';
COMMENT ON COLUMN tapdb.region_moc.moc IS 'Cells of order 11 that it touches: ranges of cells of order 29, NESTED.';
REVOKE ALL ON TABLE tapdb.region_moc FROM PUBLIC;
