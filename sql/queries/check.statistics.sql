-- Statistics over several columns: (schema, name).
SELECT n.nspname AS schema, s.stxname AS name FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
