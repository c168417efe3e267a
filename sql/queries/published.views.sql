-- Views outside of PostgreSQL's own schemas, with the parsed query that each stands for. Materialized views are tables in this
-- respect: indexes of what they were made from do not serve them.
SELECT r.ev_class AS relation_id, r.ev_action::text AS rule
FROM pg_rewrite r
JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename = '_RETURN' AND c.relkind = 'v' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
