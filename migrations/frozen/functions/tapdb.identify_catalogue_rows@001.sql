-- sha256 a64b45bed8ad2458b286ba31caac9b615afcceb1f6760ccc187235b038771563
-- What identifiers of rows of a PPDB mean, for tapdb.links: ivo://AUTHORITY/PATH?table=SCHEMA.TABLE&key=NUMBER (keys in any order, others
-- allowed), as it is or percent-encoded as a whole. Others are left out. Rows are looked for by the rights of the caller, in published tables.
-- Targets have the kind row, table, column, key, and observations: visit and detector of the newest sources that belong to the row, 50 at most.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, functions/tapdb.published_tables
-- drop
DROP FUNCTION IF EXISTS tapdb.identify_catalogue_rows(text[]);
-- create
CREATE FUNCTION tapdb.identify_catalogue_rows(dids text[]) RETURNS TABLE (number integer, target jsonb)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  given record;
BEGIN
  FOR given IN
    WITH plain AS (
      SELECT d.number::integer AS number, CASE WHEN d.did ~* '^ivo%3a' AND d.did !~* '%[0189a-f][0-9a-f]' THEN (
        SELECT string_agg(coalesce(chr(('x' || lpad(part[1], 8, '0'))::bit(32)::integer), part[2]), '' ORDER BY place)
        FROM regexp_matches(d.did, '%([2-7][0-9a-f])|([^%]+|%)', 'gi') WITH ORDINALITY AS found (part, place)
      ) ELSE d.did END AS did
      FROM unnest(dids) WITH ORDINALITY AS d (did, number)
    ), read AS (
      SELECT p.number, lower(substring(q.query FROM '&table=([A-Za-z0-9_]+\.[A-Za-z0-9_]+)(?:&|$)')) AS named,
        CASE WHEN k.digits::numeric <= 9223372036854775807 THEN k.digits::bigint END AS key
      FROM plain p, LATERAL (SELECT '&' || substring(p.did FROM '^[iI][vV][oO]://[^/?#]+(?:/[^?#]*)?\?([!-~]*)$') AS query) q,
        LATERAL (SELECT substring(q.query FROM '&key=(\d{1,19})(?:&|$)') AS digits) k
      WHERE q.query ~ '&table=[^&]' AND q.query !~ '&table=.*&table=' AND q.query ~ '&key=[^&]' AND q.query !~ '&key=.*&key=' AND p.did !~ '#'
    )
    SELECT r.named, array_agg(r.number) AS numbers, array_agg(r.key) AS keys, t.table_name, t.relation, k.name AS key_column,
      s.relation AS sources, s.key_column AS source_column
    FROM read r
    LEFT JOIN tapdb.published_tables() t ON lower(replace(t.table_name, '"', '')) = r.named
    LEFT JOIN LATERAL (
      SELECT a.attname AS name FROM pg_attribute a
      WHERE a.attrelid = t.relation AND NOT a.attisdropped AND a.attnum > 0 AND lower(a.attname) = lower(split_part(r.named, '.', 2)) || 'id'
    ) k ON true
    LEFT JOIN LATERAL (
      -- The sources of an object, and a source itself, say where images of them are.
      SELECT o.relation, c.attname AS key_column
      FROM tapdb.published_tables() o JOIN pg_attribute c ON c.attrelid = o.relation AND NOT c.attisdropped AND lower(c.attname) = lower(k.name)
      WHERE lower(replace(o.table_name, '"', '')) = split_part(r.named, '.', 1) || '.diasource'
        AND split_part(r.named, '.', 2) IN ('diasource', 'diaobject', 'ssobject')
    ) s ON true
    WHERE r.named IS NOT NULL AND r.key IS NOT NULL
    GROUP BY r.named, t.table_name, t.relation, k.name, s.relation, s.key_column
  LOOP
    IF given.key_column IS NULL THEN
      RETURN QUERY SELECT n, jsonb_build_object('error', format('NotFoundFault: no table %s with a key is published', given.named))
        FROM unnest(given.numbers) n;
      CONTINUE;
    END IF;
    RETURN QUERY EXECUTE format(
      'SELECT w.number, CASE WHEN EXISTS (SELECT FROM %1$s t WHERE t.%2$I = w.key) THEN jsonb_build_object(''kind'', ''row'', ''table'', $3, '
      '''column'', %2$L, ''key'', w.key, ''observations'', coalesce(%3$s, ''[]''::jsonb)) '
      'ELSE jsonb_build_object(''error'', format(''NotFoundFault: %%s has no row %%s'', $3, w.key)) END '
      'FROM unnest($1, $2) AS w (number, key)', given.relation, given.key_column,
      CASE WHEN given.sources IS NULL THEN 'NULL::jsonb' ELSE format(
        '(SELECT jsonb_agg(jsonb_build_object(''visit'', o.visit, ''detector'', o.detector)) FROM (SELECT DISTINCT s.visit, s.detector '
        'FROM %s s WHERE s.%I = w.key AND s.visit IS NOT NULL AND s.detector IS NOT NULL ORDER BY s.visit DESC, s.detector LIMIT 50) AS o)',
        given.sources, given.source_column) END)
    USING given.numbers, given.keys, given.table_name;
  END LOOP;
END
$$;
ALTER FUNCTION tapdb.identify_catalogue_rows(text[]) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.identify_catalogue_rows(text[]) IS 'What identifiers of rows of a PPDB mean, by their numbers in the array; other identifiers are left out.';
REVOKE ALL ON FUNCTION tapdb.identify_catalogue_rows(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.identify_catalogue_rows(text[]) TO tapdb_reader;
