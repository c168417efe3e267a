-- What tells the history of this database from that of all others, and how its text is sorted: (digest of the first snapshot, collation).
SELECT encode(ppdb_history.snapshot_digest((SELECT min(snapshot_id) FROM ppdb_history.snapshot)), 'hex') AS clock_id,
  (SELECT coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate::text)
   FROM pg_database d WHERE d.datname = current_database()) AS collation
