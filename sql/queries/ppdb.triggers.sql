-- Triggers on all relations: (schema, relation, name, enabled, definition, function, arguments). definition is PostgreSQL's own text up to the function, with "it" in the
-- place of the relation.
SELECT n.nspname AS schema, c.relname AS relation, t.tgname AS name, t.tgenabled::text AS enabled,
  split_part(replace(pg_get_triggerdef(t.oid), format(' ON %I.%I ', n.nspname, c.relname), ' ON it '), ' EXECUTE FUNCTION ', 1) AS definition,
  format('%s.%s', f.nspname, p.proname) AS function,
  string_to_array(trim(trailing E'\\000' FROM encode(t.tgargs, 'escape')), E'\\000') AS arguments
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
WHERE NOT t.tgisinternal
