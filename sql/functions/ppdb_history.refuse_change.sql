-- Trigger function, FOR EACH STATEMENT: what papers cite is added, and neither changed nor taken away.
-- requires: schemas/ppdb_history, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS ppdb_history.refuse_change();
-- create
CREATE FUNCTION ppdb_history.refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  RAISE EXCEPTION '% on %.% is refused: stored queries are cited, and stay as they are', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'feature_not_supported', HINT = 'Add a row: a revision, or a query with an identifier of its own.';
END
$$;
ALTER FUNCTION ppdb_history.refuse_change() OWNER TO tapdb_owner;
COMMENT ON FUNCTION ppdb_history.refuse_change() IS 'Trigger function that refuses to change or delete stored queries.';
REVOKE ALL ON FUNCTION ppdb_history.refuse_change() FROM PUBLIC;
