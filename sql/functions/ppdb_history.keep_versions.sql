-- Trigger function, AFTER INSERT, UPDATE or DELETE, FOR EACH STATEMENT, on the current rows: keeps the versions that the statement ended, and notes how many
-- versions began and ended, with their digests. Arguments: the table's name; the columns that it has now; all columns that it ever had; its key (lists of
-- quoted names). Transition tables: gone (old rows; on UPDATE and DELETE) and come (new rows; on INSERT and UPDATE).
-- A version that began in this same snapshot was never seen: it is not kept, and what was noted of it is taken back (exclusive or is its own inverse).
-- A row that was written as it was has kept its snap_from (see ppdb_history.stamp), is among both come and gone, and counts as neither; where no row of an UPDATE
-- has, they need not be looked for. Such a row has to be the old one to the last bit: a row trigger that fires after tapdb_stamp could have changed it since.
-- The digest of a row is the SHA-256 of the binary form of its values, which is exact, and the same on any machine; of a version that ended, of its key and of the
-- snapshot in which it began, under which its values have been noted.
-- The digest of many rows is made after the commit, by ppdb_history.seal, since all other writers wait for this one: their keys are noted here, with the transaction
-- that PostgreSQL writes into each row and each note (xmin), that of the savepoint if there is one. What the first statement with many rows decides holds for the
-- table until the commit. A million keys make a note, since a value has at most 1 GB.
-- SECURITY DEFINER, since writers of current rows have no rights on the versions.
-- requires: functions/ppdb_history.advance, tables/ppdb_history.pending_rows
-- drop
DROP FUNCTION IF EXISTS ppdb_history.keep_versions();
-- create
CREATE FUNCTION ppdb_history.keep_versions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET extra_float_digits = 1
AS $$
DECLARE
  name CONSTANT text := TG_ARGV[0];
  columns_now CONSTANT text := TG_ARGV[1];
  columns_ever CONSTANT text := TG_ARGV[2];
  key CONSTANT text := TG_ARGV[3];
  digest CONSTANT text := $sql$bit_xor(('x' || encode(sha256(record_send(ROW(%s))), 'hex'))::bit(256))$sql$;
  own CONSTANT bigint := ppdb_history.lock_clock();
  nothing CONSTANT bit(256) := repeat('0', 256)::bit(256);
  all_count bigint := 0;
  come_count bigint := 0;
  come_digest bit(256);
  back_count bigint := 0;
  back_digest bit(256);
  end_count bigint := 0;
  end_digest bit(256);
  unchanged text := '';
  same_key text;
  altered bigint;
  many CONSTANT bigint := 100;
  noted_begun bigint;
  is_noted boolean;
  is_pending boolean;
  come_by xid;
BEGIN
  SELECT t.begun, true, t.begun_digest IS NULL INTO noted_begun, is_noted, is_pending
  FROM ppdb_history.snapshot_table t WHERE t.snapshot_id = own AND t.table_name = name;
  is_pending := coalesce(is_pending, false);
  IF TG_OP <> 'DELETE' THEN
    EXECUTE 'SELECT count(*), count(*) FILTER (WHERE snap_from = $1) FROM come' INTO all_count, come_count USING own;
    IF TG_OP = 'INSERT' AND come_count <> all_count THEN
      RAISE EXCEPTION 'snap_from of rows in %.% was given by hand; this transaction writes snapshot %', TG_TABLE_SCHEMA, TG_TABLE_NAME, own
        USING ERRCODE = 'generated_always', HINT = 'Leave the columns snap_from and snap_to out: they are filled in.';
    END IF;
    is_pending := is_pending OR come_count >= many AND coalesce(noted_begun, 0) = 0;
    IF come_count = 0 THEN
      NULL;
    ELSIF is_pending THEN
      EXECUTE format(
        'INSERT INTO ppdb_history.pending_rows AS note (snapshot_id, table_name, keys)
        SELECT $1, $2, ARRAY[%s] FROM %s RETURNING note.xmin',
        (SELECT string_agg(format('array_agg(%s)::text', part), ', ' ORDER BY place) FROM unnest(string_to_array(key, ', ')) WITH ORDINALITY k(part, place)),
        CASE WHEN come_count <= 1000000 THEN 'come WHERE snap_from = $1' ELSE format(
          '(SELECT %s, (row_number() OVER () - 1) / 1000000 AS tapdb_part FROM come WHERE snap_from = $1) parts GROUP BY tapdb_part', key) END)
      INTO come_by USING own, name;
    ELSE
      EXECUTE format('SELECT %s FROM come WHERE snap_from = $1', format(digest, columns_now)) INTO come_digest USING own;
    END IF;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    IF TG_OP = 'UPDATE' AND come_count <> all_count THEN
      SELECT string_agg(format('come.%1$s = gone.%1$s', part), ' AND ') INTO same_key FROM unnest(string_to_array(key, ', ')) part;
      EXECUTE format(
        'SELECT count(*) FROM come WHERE snap_from IS DISTINCT FROM $1
          AND NOT EXISTS (SELECT FROM gone WHERE %s AND pg_catalog.record_image_eq(gone, come))', same_key)
      INTO altered USING own;
      IF altered > 0 THEN
        RAISE EXCEPTION '% rows of %.% were changed after it had been decided which of them are new versions', altered, TG_TABLE_SCHEMA, TG_TABLE_NAME
          USING ERRCODE = 'triggered_action_exception',
            DETAIL = (SELECT 'Row triggers that fire after tapdb_stamp: ' || coalesce(string_agg(tgname, ', ' ORDER BY tgname), 'none')
              FROM pg_trigger WHERE tgrelid = TG_RELID AND NOT tgisinternal AND tgtype & 19 = 19 AND tgname > 'tapdb_stamp' AND tgname NOT LIKE 'tapdb\_%'),
            HINT = 'Let a trigger that changes rows fire before tapdb_stamp: triggers fire in the order of their names.';
      END IF;
      unchanged := format('AND NOT EXISTS (SELECT FROM come WHERE come.snap_from = gone.snap_from AND %s)', same_key);
    END IF;
    IF is_noted THEN
      EXECUTE format('SELECT count(*), %s FROM gone WHERE snap_from = $1', CASE WHEN is_pending THEN 'NULL' ELSE format(digest, columns_now) END)
      INTO back_count, back_digest USING own;
    END IF;
    EXECUTE format(
      'WITH ended AS (
        INSERT INTO ppdb_history.%I (%s, snap_from, snap_to)
        SELECT %2$s, snap_from, $1 FROM gone WHERE snap_from < $1 %s
        RETURNING snap_from, %s
      )
      SELECT count(*), %s FROM ended', name || '_closed', columns_ever, unchanged, key, format(digest, 'snap_from, ' || key))
    INTO end_count, end_digest USING own;
  END IF;
  IF come_count + back_count + end_count = 0 THEN
    RETURN NULL;
  END IF;
  PERFORM ppdb_history.advance();
  INSERT INTO ppdb_history.snapshot_table AS noted (snapshot_id, table_name, begun, begun_digest, ended, ended_digest, begun_by)
  VALUES (own, name, come_count - back_count, CASE WHEN NOT is_pending THEN coalesce(come_digest, nothing) # coalesce(back_digest, nothing) END,
    end_count, coalesce(end_digest, nothing), CASE WHEN come_by IS NOT NULL THEN ARRAY[come_by] END)
  ON CONFLICT (snapshot_id, table_name) DO UPDATE
  SET begun = noted.begun + EXCLUDED.begun,
    begun_digest = CASE WHEN NOT is_pending THEN noted.begun_digest # EXCLUDED.begun_digest END,
    ended = noted.ended + EXCLUDED.ended, ended_digest = noted.ended_digest # EXCLUDED.ended_digest,
    begun_by = CASE WHEN come_by IS NULL OR come_by = ANY (noted.begun_by) THEN noted.begun_by ELSE noted.begun_by || come_by END;
  RETURN NULL;
END
$$;
ALTER FUNCTION ppdb_history.keep_versions() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.keep_versions() IS 'Trigger function that keeps ended versions and digests what a statement wrote.';
REVOKE ALL ON FUNCTION ppdb_history.keep_versions() FROM PUBLIC;
