-- Views that others have built on a view, which cannot be dropped before them.
SELECT DISTINCT c.oid::regclass::text AS name
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = to_regclass(:view) AND c.oid <> d.refobjid
ORDER BY name
