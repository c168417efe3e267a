-- When the last transaction was committed, on a server that notes it; on a standby, the last one that was replayed. NULL if that is not known.
SELECT CASE
  WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp()
  WHEN current_setting('track_commit_timestamp')::bool THEN (pg_last_committed_xact()).timestamp
END AS committed_at
