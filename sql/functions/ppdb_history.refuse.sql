-- Trigger function, FOR EACH STATEMENT: refuses what would destroy versions. Argument: what to do instead.
-- Of the table of closed versions, INSERT is allowed from within the trigger that keeps them.
-- requires: schemas/ppdb_history, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS ppdb_history.refuse();
-- create
CREATE FUNCTION ppdb_history.refuse() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  IF TG_OP = 'INSERT' AND pg_trigger_depth() > 1 THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '% on %.% is refused: it would destroy versions of rows that queries as of a snapshot need', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'feature_not_supported', HINT = TG_ARGV[0];
END
$$;
ALTER FUNCTION ppdb_history.refuse() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.refuse() IS 'Trigger function that refuses what would destroy versions.';
REVOKE ALL ON FUNCTION ppdb_history.refuse() FROM PUBLIC;
