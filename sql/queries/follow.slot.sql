-- The slot of a follower on its primary. Parameter: slot. wal_status is lost once the primary has removed what the follower still needs.
SELECT s.active, s.wal_status, s.safe_wal_size, pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint AS behind_bytes
FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = :slot
