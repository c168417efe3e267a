-- Constraint trigger function: at the end of a transaction of logical replication, keeps the versions that it ended, and notes what began and ended with it
-- (ppdb_history.applied_row). A transaction of the primary is one snapshot.
-- The work is that of ppdb_history.keep_versions, the one function that keeps versions: all new images are inserted into a temporary table on which it is the trigger of
-- an INSERT, then all old images are deleted from one on which it is that of a DELETE. A row that changes twice has an image that is both new and old: counts and
-- digests cancel, since new ones come first. The temporary tables stay with the session, under a name that changes with the columns.
-- requires: functions/ppdb_history.apply, functions/ppdb_history.keep_versions, tables/ppdb_history.versioned_table, tables/ppdb_history.versioned_column
-- drop
DROP FUNCTION IF EXISTS ppdb_history.fold();
-- create
CREATE FUNCTION ppdb_history.fold() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET extra_float_digits = 1
SET jit = off
AS $$
DECLARE
  mine CONSTANT xid8 := pg_current_xact_id();
  part record;
  images CONSTANT text := 'INSERT INTO pg_temp.%1$I (%2$s) SELECT %2$s FROM ('
    'SELECT (i.image).* FROM (SELECT a.%3$I::%4$s AS image FROM ppdb_history.applied_row a WHERE a.transaction = $1 AND a.table_name = $2 AND a.%3$I IS NOT NULL OFFSET 0) i) r';
  come text;
  gone text;
BEGIN
  PERFORM set_config('ppdb_history.applied', '', true);
  FOR part IN
    SELECT a.table_name, a.has_come, a.has_gone, format('%I.%I', t.table_schema, t.table_name) AS current, format('ppdb_history.%I', t.table_name) AS versions,
      c.ever || ', snap_from, snap_to' AS columns, format('%L, %L, %L, %L', t.table_name, c.now, c.ever, k.key) AS arguments
    FROM (
      SELECT r.table_name, bool_or(r.come IS NOT NULL) AS has_come, bool_or(r.gone IS NOT NULL) AS has_gone
      FROM ppdb_history.applied_row r WHERE r.transaction = mine GROUP BY r.table_name
    ) a LEFT JOIN ppdb_history.versioned_table t USING (table_name)
      LEFT JOIN LATERAL (
        SELECT string_agg(format('%I', v.column_name), ', ' ORDER BY v.ordinal) FILTER (WHERE v.snap_to = 9223372036854775807) AS now,
          string_agg(format('%I', v.column_name), ', ' ORDER BY v.ordinal) AS ever
        FROM ppdb_history.versioned_column v WHERE v.table_name = t.table_name
      ) c ON true
      LEFT JOIN LATERAL (SELECT string_agg(format('%I', u.name), ', ' ORDER BY u.place) AS key FROM unnest(t.key_columns) WITH ORDINALITY u(name, place)) k ON true
    ORDER BY a.table_name
  LOOP
    IF part.arguments IS NULL THEN
      RAISE EXCEPTION '% is followed, and its versions are not kept', part.table_name USING HINT = 'tapdb ppdb check says what is missing.';
    END IF;
    come := 'tapdb_come_' || md5(part.current || part.arguments);
    gone := 'tapdb_gone_' || md5(part.current || part.arguments);
    IF to_regclass('pg_temp.' || come) IS NULL THEN
      EXECUTE format('CREATE TEMPORARY TABLE %1$I (LIKE %3$s) ON COMMIT DELETE ROWS; CREATE TEMPORARY TABLE %2$I (LIKE %3$s) ON COMMIT DELETE ROWS; '
        'CREATE TRIGGER come AFTER INSERT ON pg_temp.%1$I REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION ppdb_history.keep_versions(%4$s); '
        'CREATE TRIGGER gone AFTER DELETE ON pg_temp.%2$I REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION ppdb_history.keep_versions(%4$s); '
        'ALTER TABLE pg_temp.%1$I ENABLE ALWAYS TRIGGER come; ALTER TABLE pg_temp.%2$I ENABLE ALWAYS TRIGGER gone',
        come, gone, part.versions, part.arguments);
    END IF;
    IF part.has_come THEN
      EXECUTE format(images, come, part.columns, 'come', part.current) USING mine, part.table_name;
    END IF;
    IF part.has_gone THEN
      EXECUTE format(images, gone, part.columns, 'gone', part.current) USING mine, part.table_name;
      EXECUTE format('DELETE FROM pg_temp.%I', gone);
    END IF;
    -- Another fold of the same transaction begins with an empty table.
    EXECUTE format('DELETE FROM pg_temp.%I', come);
  END LOOP;
  DELETE FROM ppdb_history.applied_row a WHERE a.transaction = mine;
  RETURN NULL;
END
$$;
ALTER FUNCTION ppdb_history.fold() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.fold() IS 'Trigger function that keeps the versions which a transaction of logical replication ended.';
REVOKE ALL ON FUNCTION ppdb_history.fold() FROM PUBLIC;
