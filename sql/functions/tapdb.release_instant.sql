-- Until when the role that reads may see datasets of an ObsCore view: all of them if it may read the view with all rows, else those released by now.
-- The one rule of release. The role counts that is set, not the owner of a function that reads for it: what that one returns is for the role.
-- A setting can make the instant earlier, as for a replay of what was seen then; never later.
-- Its names were looked up when it was made, so a search_path changes nothing; without options of its own it becomes a part of the query.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.release_instant(text, text);
-- create
CREATE FUNCTION tapdb.release_instant(view_schema text, view_name text) RETURNS timestamp without time zone
LANGUAGE sql STABLE PARALLEL SAFE
RETURN least(
  CASE WHEN has_table_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
    to_regclass(format('%I.%I', view_schema, view_name))::oid, 'SELECT') THEN 'infinity'::timestamp
    ELSE timezone('UTC', now()) END,
  nullif(current_setting('tapdb.release_instant', true), '')::timestamp);
ALTER FUNCTION tapdb.release_instant(text, text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.release_instant(text, text) IS 'Until when the role that reads may see datasets of an ObsCore view (UTC).';
GRANT EXECUTE ON FUNCTION tapdb.release_instant(text, text) TO PUBLIC;
