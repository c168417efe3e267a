-- sha256 ee12efef4e2138838f43be0ca3e0ccb53e9dcffe7877cefb46eae5c7ccaca722
-- Media type of a file of a datastore: that of its dataset type if the configuration says one of files, or else by the end of its name.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.media_type(text, text);
-- create
CREATE FUNCTION tapdb.media_type(path text, access_format text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  -- ObsCore says what access_url gives: often a document of DataLink, and no file.
  WHEN access_format !~* 'content *= *datalink' THEN access_format
  WHEN path ~* '\.(fits?|fits?\.[fg]z)$' THEN 'application/fits'
  WHEN path ~* '\.(parq|parquet)$' THEN 'application/vnd.apache.parquet'
  WHEN path ~* '\.json$' THEN 'application/json'
  WHEN path ~* '\.png$' THEN 'image/png'
  WHEN path ~* '\.jpe?g$' THEN 'image/jpeg'
  WHEN path ~* '\.ya?ml$' THEN 'application/yaml'
  WHEN path ~* '\.(txt|log|ecsv)$' THEN 'text/plain'
  WHEN path ~* '\.csv$' THEN 'text/csv'
  WHEN path ~* '\.(vot|vot\.xml|votable)$' THEN 'application/x-votable+xml'
  ELSE 'application/octet-stream'
END;
ALTER FUNCTION tapdb.media_type(text, text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.media_type(text, text) IS 'Media type of a file, by the access_format of its dataset type or its name.';
GRANT EXECUTE ON FUNCTION tapdb.media_type(text, text) TO PUBLIC;
