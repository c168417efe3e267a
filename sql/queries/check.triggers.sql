-- Triggers of tapdb, with what they are on and whether they fire (O, A: yes; R: on a replica only; D: never): (schema, relation, name, enabled).
SELECT n.nspname AS schema, c.relname AS relation, t.tgname AS name, t.tgenabled AS enabled
FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = t.tgfoid
WHERE p.pronamespace = to_regnamespace('tapdb') AND NOT t.tgisinternal
