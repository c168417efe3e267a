-- Digest of a snapshot: what it wrote, and through the digest of the one before all that was written before. NULL while a digest that it needs is pending
-- (ppdb_history.seal). In PL/pgSQL, which keeps its plan: it is called for each captured query.
-- requires: tables/ppdb_history.snapshot_table
-- drop
DROP FUNCTION IF EXISTS ppdb_history.snapshot_digest(bigint);
-- create
CREATE FUNCTION ppdb_history.snapshot_digest(snapshot bigint) RETURNS bytea
LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
  RETURN (
    SELECT sha256(s.parent_digest || int8send(s.snapshot_id) || float8send(s.t_mjd_tai) || coalesce((
      SELECT convert_to(string_agg(concat_ws(' ', t.table_name, t.begun, t.begun_digest, t.ended, t.ended_digest), E'\n' ORDER BY t.table_name COLLATE "C"), 'UTF8')
      FROM ppdb_history.snapshot_table t WHERE t.snapshot_id = s.snapshot_id), ''))
    FROM ppdb_history.snapshot s
    WHERE s.snapshot_id = snapshot
      AND NOT EXISTS (SELECT FROM ppdb_history.snapshot_table t WHERE t.snapshot_id = snapshot AND t.begun_digest IS NULL)
  );
END
$$;
ALTER FUNCTION ppdb_history.snapshot_digest(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.snapshot_digest(bigint) IS 'SHA-256 of what a snapshot and all before it wrote; NULL while a digest is pending.';
GRANT EXECUTE ON FUNCTION ppdb_history.snapshot_digest(bigint) TO PUBLIC;
