-- Foreign keys, one row each, with their columns by number.
SELECT k.conname AS name, k.conrelid AS relation_id, k.conkey AS numbers, k.confrelid AS target_id, k.confkey AS target_numbers,
  obj_description(k.oid, 'pg_constraint') AS comment
FROM pg_constraint k
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY k.conrelid, k.conname
