-- Names of the columns of each table and view outside of PostgreSQL's own schemas, in order. A subquery for each
-- relation reads pg_attribute by its index: a join would sort all names.
-- Of a view also the nodes of its parsed query and of the views that it reads, each once: what it costs to plan.
WITH RECURSIVE published AS (
    SELECT c.oid, c.relkind, n.nspname::text AS schema, c.relname::text AS relation
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), reads (top, oid) AS (
    SELECT oid, oid FROM published WHERE relkind = 'v'
    UNION
    SELECT r.top, v.oid
    FROM reads r
    JOIN pg_rewrite w ON w.ev_class = r.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
        AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class v ON v.oid = d.refobjid AND v.relkind = 'v'
), sizes AS (
    SELECT r.top, sum(length(w.ev_action::text) - length(replace(w.ev_action::text, '{', ''))) AS nodes
    FROM reads r
    JOIN pg_rewrite w ON w.ev_class = r.oid
    GROUP BY r.top
)
SELECT p.schema, p.relation,
    ARRAY(
        SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS columns,
    coalesce(s.nodes, 0)::integer AS nodes
FROM published p
LEFT JOIN sizes s ON s.top = p.oid
