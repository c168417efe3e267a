-- Notes a change of Butler's after which kept tables have to be looked at once more: see tapdb.keep and tapdb.mend.
-- Where the table of notes cannot be had within the time that Butler's statement is given, nobody is told but by a warning: the statement does
-- not fail, and `tapdb obscore check --deep` compares all rows.
-- requires: schemas/tapdb, roles/tapdb_owner, tables/tapdb.kept_note
-- drop
DROP FUNCTION IF EXISTS tapdb.note_change(text, text, text, text, jsonb, jsonb, text);
-- create
CREATE FUNCTION tapdb.note_change(registry text, relation text, event text, kept text, changed jsonb, gone jsonb, problem text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO tapdb.kept_note (registry_schema, relation, event, kept, changed, gone, problem)
  VALUES (registry, relation, event, kept, changed, gone, problem);
EXCEPTION WHEN lock_not_available OR syntax_error_or_access_rule_violation THEN
  RAISE WARNING 'tapdb could not note % on %.%: %', event, registry, relation, SQLERRM
    USING HINT = 'tapdb obscore check --deep says what is missing, tapdb obscore refresh makes it again.';
END
$$;
ALTER FUNCTION tapdb.note_change(text, text, text, text, jsonb, jsonb, text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.note_change(text, text, text, text, jsonb, jsonb, text) IS 'Notes a change after which kept tables have to be looked at once more.';
REVOKE ALL ON FUNCTION tapdb.note_change(text, text, text, text, jsonb, jsonb, text) FROM PUBLIC;
