-- Trigger function, FOR EACH STATEMENT: brings the rows of a kept table that a change of Butler's concerns up to date, in the transaction of the change.
-- Arguments: the kept table; the view that it is to equal; its primary key, separated by commas; shared or alone if the table is to be locked until
-- the end of the transaction against changes of the other kind, else nothing; then pairs kept_column=butler_column, which say the rows concerned. Transition tables: changed (new rows, or the rows that were deleted), and before (old rows) on UPDATE. TRUNCATE has none:
-- everything is made again.
-- Rows are deleted, or locked, first and made again by a statement of their own, so that the second of two sessions that meet at a row sees
-- what the first has committed (READ COMMITTED, as Butler works).
-- Nothing here may make Butler's own statement fail: an error is a warning, and `tapdb obscore check` finds what is missing.
-- SECURITY DEFINER, since roles that ingest have no rights on tapdb's tables.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.keep_rows();
-- create
CREATE FUNCTION tapdb.keep_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kept CONSTANT regclass := TG_ARGV[0];
  source CONSTANT regclass := TG_ARGV[1];
  key CONSTANT text := TG_ARGV[2];
  pairs CONSTANT text[] := TG_ARGV[4:];
  concerned text;
  replaced text;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    EXECUTE format('DELETE FROM %s', kept);
    EXECUTE format('INSERT INTO %s SELECT * FROM %s', kept, source);
    RETURN NULL;
  END IF;
  -- Butler makes sure of rows that are there already, with INSERT ... ON CONFLICT DO NOTHING, at each ingest.
  IF NOT EXISTS (SELECT FROM changed) THEN
    RETURN NULL;
  END IF;
  IF TG_ARGV[3] = 'shared' THEN
    PERFORM pg_advisory_xact_lock_shared('tapdb.keep_rows()'::regprocedure::integer, kept::oid::integer);
  ELSIF TG_ARGV[3] = 'alone' THEN
    PERFORM pg_advisory_xact_lock('tapdb.keep_rows()'::regprocedure::integer, kept::oid::integer);
  END IF;
  SELECT string_agg(format('k.%I = c.%I', split_part(pair, '=', 1), split_part(pair, '=', 2)), ' AND ') INTO concerned
  FROM unnest(pairs) AS pair;
  IF TG_OP = 'UPDATE' THEN
    EXECUTE format('DELETE FROM %s k USING before c WHERE %s', kept, concerned);
  ELSIF TG_OP = 'DELETE' THEN
    EXECUTE format('DELETE FROM %s k USING changed c WHERE %s', kept, concerned);
  ELSIF EXISTS (SELECT FROM unnest(pairs) AS pair WHERE split_part(pair, '=', 1) <> split_part(pair, '=', 2)) THEN
    -- A table other than the one whose key the kept table has: the rows concerned are there already, and not only this session may change them.
    EXECUTE format('SELECT FROM %s k WHERE EXISTS (SELECT FROM changed c WHERE %s) FOR UPDATE OF k', kept, concerned);
  END IF;
  SELECT string_agg(format('%1$I = EXCLUDED.%1$I', attname), ', ') INTO replaced
  FROM pg_attribute WHERE attrelid = kept AND attnum > 0 AND NOT attisdropped;
  EXECUTE format(
    'INSERT INTO %s SELECT k.* FROM %s k WHERE EXISTS (SELECT FROM changed c WHERE %s) ON CONFLICT (%s) DO UPDATE SET %s',
    kept, source, concerned, key, replaced);
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'tapdb could not bring % up to date after % on %.%: %', kept, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM
    USING HINT = 'tapdb obscore check says what is missing, tapdb obscore refresh makes it again.';
  RETURN NULL;
END
$$;
ALTER FUNCTION tapdb.keep_rows() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.keep_rows() IS 'Trigger function that keeps a derived table equal to its source view.';
REVOKE ALL ON FUNCTION tapdb.keep_rows() FROM PUBLIC;
