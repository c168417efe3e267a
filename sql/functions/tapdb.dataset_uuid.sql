-- UUID of a Butler dataset from its identifier: ivo://AUTHORITY/PATH?repo=LABEL&id=UUID (keys in any order, others allowed) or
-- butler://LABEL/UUID, as it is or percent-encoded as a whole. NULL for any other text; never an error.
-- IMMUTABLE: registry_dataset_id = tapdb.dataset_uuid('ivo://...') is a comparison with a constant, which Butler's primary keys find.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.dataset_uuid(text);
-- create
CREATE FUNCTION tapdb.dataset_uuid(did text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (
  SELECT CASE
    WHEN plain !~ '^[!-~]+$' OR plain ~ '#' THEN NULL
    WHEN plain ~* '^butler://' THEN
      substring(plain FROM '^[^:]*://[^/?]+/([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32})$')::uuid
    WHEN plain ~* '^ivo://[^/?]' AND query ~ '&repo=[^&]' AND query !~ '&repo=.*&repo=' AND query !~ '&id=.*&id=' THEN
      substring(query FROM '&id=([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32})(?:&|$)')::uuid
  END
  FROM (
    SELECT CASE
      WHEN did !~* '^(ivo|butler)%3a' THEN did
      -- Control characters, and bytes of characters that no URI may have.
      WHEN did ~* '%[0189a-f][0-9a-f]' THEN NULL
      ELSE (
        SELECT string_agg(coalesce(chr(('x' || lpad(part[1], 8, '0'))::bit(32)::integer), part[2]), '' ORDER BY number)
        FROM regexp_matches(did, '%([2-7][0-9a-f])|([^%]+|%)', 'gi') WITH ORDINALITY AS found (part, number)
      ) END AS plain
  ) AS decoded,
  LATERAL (SELECT '&' || substring(plain FROM '\?(.*)$') AS query) AS parts
);
ALTER FUNCTION tapdb.dataset_uuid(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.dataset_uuid(text) IS 'UUID of a Butler dataset from its obs_publisher_did or another of its identifiers; NULL for any other text.';
GRANT EXECUTE ON FUNCTION tapdb.dataset_uuid(text) TO PUBLIC;
