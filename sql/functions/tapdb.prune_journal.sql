-- Deletes entries of all journals that are older than an age, and returns how many. Entries stay of transactions that are not older than all that run:
-- so a position that is taken now lacks nothing.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_service, tables/tapdb.journal_view, tables/tapdb.journal
-- drop
DROP FUNCTION IF EXISTS tapdb.prune_journal(interval);
-- create
CREATE FUNCTION tapdb.prune_journal(age interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  WITH old AS (
    DELETE FROM tapdb.journal j
    WHERE j.written_at < clock_timestamp() - age AND j.transaction < pg_snapshot_xmin(pg_current_snapshot())
    RETURNING j.kept, j.transaction
  ), newest AS (
    SELECT o.kept, max(o.transaction::text::numeric)::text::xid8 AS transaction FROM old o GROUP BY o.kept
  ), noted AS (
    UPDATE tapdb.journal_view v SET pruned = n.transaction FROM newest n WHERE n.kept = v.kept AND n.transaction > v.pruned
  )
  SELECT count(*) FROM old
$$;
ALTER FUNCTION tapdb.prune_journal(interval) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.prune_journal(interval) IS 'Deletes old entries of all journals; returns how many.';
REVOKE ALL ON FUNCTION tapdb.prune_journal(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.prune_journal(interval) TO tapdb_service;
