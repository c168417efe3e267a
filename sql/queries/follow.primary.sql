-- What a primary allows the role that a follower comes as.
SELECT current_setting('server_version_num')::integer AS version, current_setting('wal_level') AS wal_level,
  current_setting('max_slot_wal_keep_size') AS longest_wal, r.rolreplication OR r.rolsuper AS may_replicate, r.rolname AS role,
  current_setting('max_replication_slots')::integer - (SELECT count(*) FROM pg_catalog.pg_replication_slots) AS free_slots
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
