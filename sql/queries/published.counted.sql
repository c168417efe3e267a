-- How many rows of TAP_SCHEMA the last publication counted, and how many there are: (published, held); nothing before the first one.
SELECT g.row_count AS published,
  (SELECT count(*) FROM tap_schema.schemas) + (SELECT count(*) FROM tap_schema.tables) + (SELECT count(*) FROM tap_schema.columns)
    + (SELECT count(*) FROM tap_schema.keys) + (SELECT count(*) FROM tap_schema.key_columns)
    + (SELECT count(*) FROM tap_schema.datalink_service) + (SELECT count(*) FROM tap_schema.datalink_parameter) AS held
FROM tap_schema.generation g ORDER BY g.generation DESC LIMIT 1
