-- Triggers on the relations of versioned tables: (relation, name, enabled, function, arguments).
SELECT n.nspname AS schema, c.relname AS relation, t.tgname AS name, t.tgenabled::text AS enabled, t.tgfoid::regproc::text AS function,
  string_to_array(trim(trailing E'\\000' FROM encode(t.tgargs, 'escape')), E'\\000') AS arguments
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal
