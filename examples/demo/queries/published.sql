-- What TAP_SCHEMA says is published: made by the upgrade from the database itself, described by those who made it.
SELECT t.table_name, t.table_type, count(*) AS columns, sum(c.indexed) AS indexed, sum(c.std) AS standard, t.description
FROM tap_schema.tables t
JOIN tap_schema.columns c USING (table_name)
GROUP BY t.schema_name, t.table_name, t.table_type, t.table_index, t.description
ORDER BY t.schema_name, t.table_index;
