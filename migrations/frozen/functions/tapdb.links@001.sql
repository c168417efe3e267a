-- sha256 602afce35dadc1c4e5ce70394ea20d1bd0b6e5542064c79b0daaf728ae3a9c61
-- All links of identifiers (DataLink 1.1), by one statement however many there are: at least one row for each, an error row if nothing is known.
-- Packages bring two kinds of functions, given by name. Of the first kind, f(text[]) RETURNS TABLE (number integer, target jsonb) says what
-- identifiers mean that the package knows: kind and whatever links are made of, or error. Of the second, f(jsonb) RETURNS TABLE (number,
-- access_url, service_def, error_message, semantics, description, content_type, content_length, content_qualifier, local_semantics) makes links
-- of all targets without an error, those of other packages too: catalogue rows of an image come from the package of the catalogue.
-- Runs with the rights of the caller: a name that somebody makes up calls nothing that the caller could not call.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader
-- drop
DROP FUNCTION IF EXISTS tapdb.links(text[], text[], text[]);
-- create
CREATE FUNCTION tapdb.links(dids text[], identifying text[], linking text[]) RETURNS TABLE (
  id text, access_url text, service_def text, error_message text, semantics text, description text,
  content_type text, content_length bigint, content_qualifier text, local_semantics text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  targets jsonb := '[]';
  more jsonb;
  parts text;
BEGIN
  SELECT string_agg(n.name, ', ') INTO parts FROM (
    SELECT i || '(text[])' AS name FROM unnest(identifying) i UNION ALL SELECT l || '(jsonb)' FROM unnest(linking) l
  ) n WHERE to_regprocedure(n.name) IS NULL;
  IF parts IS NOT NULL THEN
    RAISE undefined_function USING MESSAGE = format('there is no function %s', parts),
      HINT = 'Migrate the database to what the installed packages need.';
  END IF;
  FOREACH parts IN ARRAY identifying LOOP
    EXECUTE format('SELECT coalesce(jsonb_agg(f.target || jsonb_build_object(''number'', f.number, ''id'', $1[f.number])), ''[]'') FROM %s($1) AS f',
      split_part(to_regprocedure(parts || '(text[])')::text, '(', 1)) INTO more USING dids;
    targets := targets || more;
  END LOOP;
  SELECT string_agg(format(
    'SELECT %s AS package, f.row, f.number, f.access_url, f.service_def, f.error_message, f.semantics, f.description, f.content_type, '
    'f.content_length, f.content_qualifier, f.local_semantics FROM %s($1) WITH ORDINALITY AS f (number, access_url, service_def, error_message, '
    'semantics, description, content_type, content_length, content_qualifier, local_semantics, row)',
    n.number, split_part(to_regprocedure(n.name || '(jsonb)')::text, '(', 1)), ' UNION ALL ')
  INTO parts
  FROM unnest(linking) WITH ORDINALITY AS n (name, number);
  RETURN QUERY EXECUTE format(
    'WITH targets AS (SELECT DISTINCT ON (number) (t ->> ''number'')::integer AS number, t ->> ''error'' AS error '
    'FROM jsonb_array_elements($2) t ORDER BY number, error NULLS FIRST) '
    'SELECT d.did, l.access_url, l.service_def, '
    'CASE WHEN l.number IS NULL THEN coalesce(t.error, CASE WHEN t.number IS NULL THEN ''UsageFault: this is no identifier that the service knows'' '
    'ELSE ''NotFoundFault: there are no links for this identifier'' END) ELSE l.error_message END, '
    'coalesce(l.semantics, ''#this''), l.description, l.content_type, l.content_length, l.content_qualifier, l.local_semantics '
    'FROM unnest($3) WITH ORDINALITY AS d (did, number) LEFT JOIN targets t ON t.number = d.number LEFT JOIN (%s) AS l ON l.number = d.number '
    'ORDER BY d.number, l.semantics <> ''#this'', l.package, l.row',
    coalesce(parts, 'SELECT 0 AS package, 0::bigint AS row, NULL::integer AS number, ''''::text AS access_url, ''''::text AS service_def, '
      '''''::text AS error_message, ''''::text AS semantics, ''''::text AS description, ''''::text AS content_type, 0::bigint AS content_length, '
      '''''::text AS content_qualifier, ''''::text AS local_semantics LIMIT 0'))
  USING jsonb_path_query_array(targets, '$[*] ? (!exists(@.error))'), targets, dids;
END
$$;
ALTER FUNCTION tapdb.links(text[], text[], text[]) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.links(text[], text[], text[]) IS 'Links of identifiers (DataLink 1.1), made by the functions of packages that are named.';
REVOKE ALL ON FUNCTION tapdb.links(text[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.links(text[], text[], text[]) TO tapdb_reader;
