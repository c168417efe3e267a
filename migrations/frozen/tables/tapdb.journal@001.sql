-- sha256 6c5928240c526ce0074d0c87eea89533199cb3738b032bf6a07b612e1d3687e3
-- What each committed transaction has brought to a view: the truth of which NOTIFY only tells. Rows are only ever added by writers, so that none
-- waits for another; tapdb.prune_journal deletes those that are old.
-- Numbers of entries are not in the order of commits: what a reader has not seen is told by transaction and snapshot (tapdb.journal_changes).
-- requires: schemas/tapdb, functions/tapdb.wake_watchers
-- drop
DROP TABLE IF EXISTS tapdb.journal;
-- create
CREATE TABLE tapdb.journal (
  kept text NOT NULL,
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  entry bigint GENERATED ALWAYS AS IDENTITY,
  written_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  event text NOT NULL,
  wakes boolean NOT NULL,
  types smallint[],
  nights integer[],
  datasets uuid[],
  was jsonb,
  CONSTRAINT journal_pkey PRIMARY KEY (kept, transaction, entry),
  CONSTRAINT journal_event_check CHECK (event IN ('come', 'changed', 'gone', 'observation', 'region', 'collection'))
);
-- It fires before COMMIT looks at what is to be sent, so that the queue is as full then as it was found.
CREATE CONSTRAINT TRIGGER journal_wake AFTER INSERT ON tapdb.journal DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.wakes) EXECUTE FUNCTION tapdb.wake_watchers();
-- What applies a subscription fires only what is ALWAYS enabled.
ALTER TABLE tapdb.journal ENABLE ALWAYS TRIGGER journal_wake;
ALTER TABLE tapdb.journal OWNER TO tapdb_owner;
COMMENT ON TABLE tapdb.journal IS 'What each committed transaction has brought to a view.';
COMMENT ON COLUMN tapdb.journal.kept IS 'What begins the names of the kept tables of the view.';
COMMENT ON COLUMN tapdb.journal.transaction IS 'The transaction.';
COMMENT ON COLUMN tapdb.journal.entry IS 'Number of the entry; of two changes of one row the later has the larger.';
COMMENT ON COLUMN tapdb.journal.written_at IS 'When the entry was written, which is before the commit.';
COMMENT ON COLUMN tapdb.journal.event IS 'What has become of datasets: come, changed or gone; or whose records have changed: observation, region or collection.';
COMMENT ON COLUMN tapdb.journal.wakes IS 'Whether its commit sends a NOTIFY.';
COMMENT ON COLUMN tapdb.journal.types IS 'Numbers of the dataset types.';
COMMENT ON COLUMN tapdb.journal.nights IS 'Observing days, YYYYMMDD; of datasets without a time, the one in which they came.';
COMMENT ON COLUMN tapdb.journal.datasets IS 'UUIDs of the datasets.';
COMMENT ON COLUMN tapdb.journal.was IS 'The kept rows as they were before; NULL for what has come.';
REVOKE ALL ON TABLE tapdb.journal FROM PUBLIC;
