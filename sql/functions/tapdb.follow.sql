-- Trigger function, FOR EACH ROW of a copy of one of Butler's tables (FOR EACH STATEMENT of TRUNCATE): notes a change that logical replication
-- applies, for tapdb.fold. What applies changes fires no statement trigger, so tapdb.keep never runs there.
-- BEFORE, FOR EACH STATEMENT (tapdb_copy): refuses what others than the subscription write. A row that is here and not at the primary, or the other way round, would
-- stop the subscription, or let it pass over changes in silence.
-- SECURITY DEFINER, since the owner of a subscription need have no rights on tapdb's tables; search_path, since it is empty there.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.follow();
-- create
CREATE FUNCTION tapdb.follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  transaction CONSTANT text := pg_current_xact_id()::text;
  is_first CONSTANT boolean := current_setting('tapdb.follows', true) IS DISTINCT FROM transaction;
BEGIN
  IF TG_WHEN = 'BEFORE' THEN
    RAISE EXCEPTION '% on %.% is refused: it is a copy, which logical replication alone writes', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
      USING ERRCODE = 'feature_not_supported', HINT = format('Write at its primary; tapdb follow rebuild %s copies all rows from there again.', TG_TABLE_SCHEMA);
  END IF;
  IF is_first THEN
    PERFORM set_config('tapdb.follows', transaction, true);
  END IF;
  INSERT INTO tapdb.followed_change (is_first, registry_schema, relation, event, changed, gone)
  VALUES (is_first, TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP,
    CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) - 'region' END,
    CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) - 'region' END);
  RETURN NULL;
END
$$;
ALTER FUNCTION tapdb.follow() OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.follow() IS 'Trigger function that notes a change which logical replication applies.';
REVOKE ALL ON FUNCTION tapdb.follow() FROM PUBLIC;
