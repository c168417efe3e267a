-- sha256 d0064d03afa04ea7ad33f3039d12d9e7bca26a4958734437c0f4b57822571ec4
-- Digest of a snapshot: what it wrote, and through the digest of the one before all that was written before.
-- requires: tables/ppdb_history.snapshot_table
-- drop
DROP FUNCTION IF EXISTS ppdb_history.snapshot_digest(bigint);
-- create
CREATE FUNCTION ppdb_history.snapshot_digest(snapshot bigint) RETURNS bytea
LANGUAGE sql STABLE STRICT
AS $$
SELECT sha256(s.parent_digest || int8send(s.snapshot_id) || float8send(s.t_mjd_tai) || coalesce((
  SELECT convert_to(string_agg(concat_ws(' ', t.table_name, t.begun, t.begun_digest, t.ended, t.ended_digest), E'\n' ORDER BY t.table_name COLLATE "C"), 'UTF8')
  FROM ppdb_history.snapshot_table t WHERE t.snapshot_id = s.snapshot_id), ''))
FROM ppdb_history.snapshot s
WHERE s.snapshot_id = snapshot
$$;
ALTER FUNCTION ppdb_history.snapshot_digest(bigint) OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.snapshot_digest(bigint) IS 'SHA-256 of what a snapshot and all before it wrote.';
GRANT EXECUTE ON FUNCTION ppdb_history.snapshot_digest(bigint) TO PUBLIC;
