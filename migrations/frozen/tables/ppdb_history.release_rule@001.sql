-- sha256 20de0085d093ca6418c1ef12d3a0dd9aad22e72b67bc09255340403645e05523
-- When rows of versioned tables are released: a rule for each table whose rows not all may see. Views <table>_released, <table>_versions_released of schema ppdb_history
-- show what is; <table>_guarded, <table>_versions_guarded are the same as barriers.
-- requires: grants/tapdb_reader, schemas/ppdb_history, tables/ppdb_history.versioned_table
-- drop
DROP TABLE IF EXISTS ppdb_history.release_rule;
-- create
CREATE TABLE ppdb_history.release_rule (
  table_name text NOT NULL,
  embargo_hours double precision NOT NULL,
  time_column text,
  follows text,
  since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT release_rule_pkey PRIMARY KEY (table_name),
  CONSTRAINT release_rule_table_fkey FOREIGN KEY (table_name) REFERENCES ppdb_history.versioned_table,
  CONSTRAINT release_rule_follows_fkey FOREIGN KEY (follows) REFERENCES ppdb_history.release_rule,
  CONSTRAINT release_rule_embargo_hours_check CHECK (embargo_hours >= 0 AND embargo_hours < 'infinity'),
  CONSTRAINT release_rule_time_check CHECK (time_column IS NULL OR follows IS NULL)
);
ALTER TABLE ppdb_history.release_rule OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.release_rule IS 'When rows of versioned tables are released.';
COMMENT ON COLUMN ppdb_history.release_rule.table_name IS 'Versioned table.';
COMMENT ON COLUMN ppdb_history.release_rule.embargo_hours IS 'Hours from the time of a row to its release.';
COMMENT ON COLUMN ppdb_history.release_rule.time_column IS 'Column with the time of the observation that a row is from (TAI); NULL if it has none.';
COMMENT ON COLUMN ppdb_history.release_rule.follows IS 'Table whose row of the same key decides; without it and without a time no row is released.';
COMMENT ON COLUMN ppdb_history.release_rule.since IS 'When the rule became what it is: a result that was for everybody before is not what the rule shows.';
REVOKE ALL ON TABLE ppdb_history.release_rule FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.release_rule TO tapdb_reader;
