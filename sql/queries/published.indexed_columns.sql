-- Columns that lead a valid index of the whole table, and those from which an index on points, circles or polygons is computed.
SELECT i.indrelid AS relation_id, i.indkey[0] AS number
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
WHERE i.indisvalid AND i.indpred IS NULL AND i.indkey[0] <> 0 AND c.relnamespace <> 'pg_catalog'::regnamespace
UNION
SELECT i.indrelid, d.refobjsubid
FROM pg_index i
JOIN pg_opclass o ON o.oid = i.indclass[0]
JOIN pg_type t ON t.oid = o.opcintype
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid > 0
WHERE i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = 0 AND i.indnkeyatts = 1 AND t.typname IN ('spoint', 'scircle', 'spoly')
