-- What a publication publishes, a row for each table, and one without a table if it has none. Parameter: publication.
SELECT p.puballtables AS is_of_all, p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AS is_complete,
  t.schemaname AS schema, t.tablename AS name, t.attnames::text[] AS columns, t.rowfilter AS condition
FROM pg_catalog.pg_publication p LEFT JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
WHERE p.pubname = :publication
ORDER BY t.schemaname, t.tablename
