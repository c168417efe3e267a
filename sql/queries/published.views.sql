-- Views outside of PostgreSQL's own schemas, with the parsed query that each stands for.
SELECT r.ev_class AS relation_id, r.ev_action::text AS rule
FROM pg_rewrite r
JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename = '_RETURN' AND c.relkind IN ('v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
