-- Changes that logical replication is applying to copies of Butler's tables, until tapdb.fold, at the end of the same transaction, has brought
-- kept tables up to date. To all others the table is empty. What a server loses when it dies was not committed.
-- The index keeps a transaction from meeting rows that others have deleted before it.
-- requires: schemas/tapdb, functions/tapdb.fold
-- drop
DROP TABLE IF EXISTS tapdb.followed_change;
-- create
CREATE UNLOGGED TABLE tapdb.followed_change (
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  number bigint GENERATED ALWAYS AS IDENTITY,
  is_first boolean NOT NULL,
  registry_schema text NOT NULL,
  relation text NOT NULL,
  event text NOT NULL,
  changed jsonb,
  gone jsonb,
  CONSTRAINT followed_change_pkey PRIMARY KEY (transaction, number)
);
-- Deferred: at the commit all changes are known, and are folded at once. The first of a transaction does it for all.
CREATE CONSTRAINT TRIGGER followed_change_fold AFTER INSERT ON tapdb.followed_change
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.is_first) EXECUTE FUNCTION tapdb.fold();
-- What applies a subscription fires only what is ALWAYS enabled.
ALTER TABLE tapdb.followed_change ENABLE ALWAYS TRIGGER followed_change_fold;
ALTER TABLE tapdb.followed_change OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.followed_change IS 'Changes that logical replication is applying, until kept tables are up to date with them.';
COMMENT ON COLUMN tapdb.followed_change.transaction IS 'Transaction that applies the change.';
COMMENT ON COLUMN tapdb.followed_change.number IS 'Number of the change.';
COMMENT ON COLUMN tapdb.followed_change.is_first IS 'Whether it is the first of its transaction, at whose commit all are folded.';
COMMENT ON COLUMN tapdb.followed_change.registry_schema IS 'Schema of the Butler registry.';
COMMENT ON COLUMN tapdb.followed_change.relation IS 'Table of Butler''s that was changed.';
COMMENT ON COLUMN tapdb.followed_change.event IS 'INSERT, UPDATE, DELETE or TRUNCATE.';
COMMENT ON COLUMN tapdb.followed_change.changed IS 'New row, without its region.';
COMMENT ON COLUMN tapdb.followed_change.gone IS 'Old row, without its region.';
REVOKE ALL ON TABLE tapdb.followed_change FROM PUBLIC;
