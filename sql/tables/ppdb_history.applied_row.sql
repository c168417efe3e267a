-- Changes that logical replication is applying to versioned rows, until ppdb_history.fold, at the end of the same transaction, has kept the versions that they ended.
-- To all others the table is empty. What a server loses when it dies was not committed.
-- The index keeps a transaction from meeting rows that others have deleted before it.
-- requires: schemas/ppdb_history, functions/ppdb_history.fold
-- drop
DROP TABLE IF EXISTS ppdb_history.applied_row;
-- create
CREATE UNLOGGED TABLE ppdb_history.applied_row (
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  number bigint GENERATED ALWAYS AS IDENTITY,
  is_first boolean NOT NULL,
  table_name text NOT NULL,
  come text,
  gone text,
  CONSTRAINT applied_row_pkey PRIMARY KEY (transaction, number)
);
-- Deferred: at the commit all changes are known, and are folded at once. The first of a transaction does it for all.
CREATE CONSTRAINT TRIGGER applied_row_fold AFTER INSERT ON ppdb_history.applied_row
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.is_first) EXECUTE FUNCTION ppdb_history.fold();
-- What applies a subscription fires only what is ALWAYS enabled.
ALTER TABLE ppdb_history.applied_row ENABLE ALWAYS TRIGGER applied_row_fold;
ALTER TABLE ppdb_history.applied_row OWNER TO tapdb_owner;
COMMENT ON TABLE ppdb_history.applied_row IS 'Changes of versioned rows that logical replication is applying, until their versions are kept.';
COMMENT ON COLUMN ppdb_history.applied_row.transaction IS 'Transaction that applies the change.';
COMMENT ON COLUMN ppdb_history.applied_row.number IS 'Number of the change.';
COMMENT ON COLUMN ppdb_history.applied_row.is_first IS 'Whether it is the first of its transaction, at whose commit all are folded.';
COMMENT ON COLUMN ppdb_history.applied_row.table_name IS 'Table that was changed.';
COMMENT ON COLUMN ppdb_history.applied_row.come IS 'New row, as text.';
COMMENT ON COLUMN ppdb_history.applied_row.gone IS 'Old row, as text.';
REVOKE ALL ON TABLE ppdb_history.applied_row FROM PUBLIC;
GRANT SELECT ON TABLE ppdb_history.applied_row TO tapdb_reader;
