-- Makes the digests that are pending, the oldest snapshot first, and closes the chain of snapshots; returns how many snapshots got a digest.
-- Rows of a pending snapshot never end before (ppdb_history.enter), so they are current rows. A row is as its writer left it if PostgreSQL says that a transaction of
-- that writer wrote it (xmin). What was changed since does not go into the digest, and what is gone is not counted: ppdb_history.snapshot_table.found then differs from
-- begun, and the rows of the table from their digest for good. Notes that were not written by these transactions either were restored from a dump, or copied by a
-- subscription: then rows are counted only, which is said too (is_witnessed). So are they where the notes are lost.
-- A database that a subscription writes gets its digests by that.
-- One at a time, by a lock of its own; the clock is not locked. The snapshot that the running transaction writes is left alone, as more may come.
-- requires: functions/ppdb_history.snapshot_digest, functions/tapdb.mjd_tai, tables/ppdb_history.pending_rows, tables/ppdb_history.versioned_column, roles/tapdb_reader
-- drop
DROP FUNCTION IF EXISTS ppdb_history.seal();
-- create
CREATE FUNCTION ppdb_history.seal() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET row_security = off
SET datestyle = 'ISO'
AS $$
DECLARE
  own CONSTANT bigint := (
    SELECT c.snapshot_id FROM ppdb_history.clock c
    WHERE c.writer = pg_current_xact_id_if_assigned() AND current_setting('ppdb_history.written', true) = c.snapshot_id::text);
  one bigint;
  part ppdb_history.snapshot_table;
  columns_then text;
  key text;
  key_arrays text;
  has_notes boolean;
  all_found bigint;
  own_found bigint;
  own_digest bit(256);
  witnessed boolean;
  sealed bigint := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM ppdb_history.snapshot s WHERE s.parent_digest IS NULL AND s.snapshot_id IS DISTINCT FROM own)
    AND NOT EXISTS (SELECT FROM ppdb_history.snapshot_table t WHERE t.begun_digest IS NULL AND t.snapshot_id IS DISTINCT FROM own)
    OR EXISTS (SELECT FROM pg_subscription_rel r WHERE r.srrelid = 'ppdb_history.snapshot_table'::regclass)
  THEN
    RETURN 0;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('tapdb makes digests of snapshots', 0));
  FOR one IN
    SELECT s.snapshot_id FROM ppdb_history.snapshot s WHERE s.parent_digest IS NULL AND s.snapshot_id IS DISTINCT FROM own
    UNION SELECT t.snapshot_id FROM ppdb_history.snapshot_table t WHERE t.begun_digest IS NULL AND t.snapshot_id IS DISTINCT FROM own
    ORDER BY 1
  LOOP
    FOR part IN SELECT * FROM ppdb_history.snapshot_table t WHERE t.snapshot_id = one AND t.begun_digest IS NULL LOOP
      SELECT string_agg(format('v.%I', c.column_name), ', ' ORDER BY c.ordinal) INTO columns_then
      FROM ppdb_history.versioned_column c WHERE c.table_name = part.table_name AND c.snap_from <= one AND c.snap_to > one;
      SELECT string_agg(format('v.%I', k.name), ', ' ORDER BY k.place), string_agg(format('(note.keys[%s])::%s[]', k.place, c.data_type), ', ' ORDER BY k.place)
      INTO key, key_arrays
      FROM ppdb_history.versioned_table t, unnest(t.key_columns) WITH ORDINALITY k(name, place), ppdb_history.versioned_column c
      WHERE t.table_name = part.table_name AND c.table_name = t.table_name AND c.column_name = k.name;
      SELECT count(*) > 0, coalesce(bool_and(note.xmin = ANY (part.begun_by)), false) INTO has_notes, witnessed
      FROM ppdb_history.pending_rows note WHERE note.snapshot_id = one AND note.table_name = part.table_name;
      all_found := 0;
      own_found := 0;
      own_digest := NULL;
      IF key IS NOT NULL AND to_regclass(format('ppdb_history.%I', part.table_name)) IS NOT NULL THEN
        EXECUTE format(
          $sql$SELECT count(*), count(*) FILTER (WHERE tapdb_own),
            bit_xor(('x' || encode(sha256(record_send(ROW(%1$s))), 'hex'))::bit(256)) FILTER (WHERE tapdb_own)
          FROM (
            SELECT v.*, NOT $3 OR v.xmin = ANY ($4) AS tapdb_own FROM ppdb_history.%2$I v
            WHERE v.snap_from = $1 AND v.snap_to = 9223372036854775807 AND %3$s
          ) v$sql$, columns_then, part.table_name, CASE WHEN has_notes THEN format(
            $sql$(%s) IN (SELECT k.* FROM ppdb_history.pending_rows note, unnest(%s) AS k WHERE note.snapshot_id = $1 AND note.table_name = $2)$sql$,
            key, key_arrays) ELSE 'true' END)
        INTO all_found, own_found, own_digest USING one, part.table_name, witnessed, part.begun_by;
      END IF;
      IF own_found <> part.begun THEN
        RAISE WARNING 'of % versions of % that began with snapshot %, % are there and % of these are as they were written', part.begun, part.table_name, one,
          all_found, own_found USING HINT = 'Somebody changed rows behind the triggers. tapdb ppdb verify goes on finding that.';
      END IF;
      UPDATE ppdb_history.snapshot_table t
      SET begun_digest = coalesce(own_digest, repeat('0', 256)::bit(256)), begun_by = NULL, found = own_found, is_witnessed = witnessed
      WHERE t.snapshot_id = one AND t.table_name = part.table_name;
      DELETE FROM ppdb_history.pending_rows note WHERE note.snapshot_id = one AND note.table_name = part.table_name;
    END LOOP;
    -- Nothing follows from a snapshot whose row is lost: tapdb ppdb check names it.
    UPDATE ppdb_history.snapshot s
    SET parent_digest = ppdb_history.snapshot_digest(one - 1)
    WHERE s.snapshot_id = one AND s.parent_digest IS NULL;
    UPDATE ppdb_history.snapshot s
    SET sealed_mjd_tai = tapdb.mjd_tai(clock_timestamp())
    WHERE s.snapshot_id = one AND s.parent_digest IS NOT NULL;
    sealed := sealed + FOUND::integer;
  END LOOP;
  RETURN sealed;
END
$$;
ALTER FUNCTION ppdb_history.seal() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.seal() IS 'Makes the digests of snapshots that are pending; how many there were.';
REVOKE ALL ON FUNCTION ppdb_history.seal() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ppdb_history.seal() TO tapdb_reader;
