-- What the journal of a view that readers see can say to one who has seen it up to a snapshot (NULL: to one who begins). No row: no journal is kept
-- of it, or the role that reads may not read it.
-- is_complete: whether all that has come since is in it. has_news: whether anything is. sees_until: until when the role sees what is released;
-- infinity if it sees all rows, or the view holds none back.
-- requires: schemas/tapdb, roles/tapdb_owner, roles/tapdb_reader, tables/tapdb.journal_view, tables/tapdb.journal, functions/tapdb.release_instant
-- drop
DROP FUNCTION IF EXISTS tapdb.journal_state(text, text, pg_snapshot);
-- create
CREATE FUNCTION tapdb.journal_state(shown_schema text, shown_name text, since pg_snapshot) RETURNS TABLE (
  number bigint, wakes boolean, is_complete boolean, has_news boolean, sees_until timestamp
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT v.number, v.wakes,
    since IS NULL OR pg_visible_in_snapshot(v.begun, since) AND pg_snapshot_xmin(since) > v.pruned,
    EXISTS (
      SELECT FROM tapdb.journal j
      WHERE j.kept = v.kept AND j.transaction >= pg_snapshot_xmin(since) AND NOT pg_visible_in_snapshot(j.transaction, since)),
    CASE WHEN (v.shown_schema, v.shown_name) = (v.view_schema, v.view_name) THEN 'infinity'::timestamp
      ELSE tapdb.release_instant(v.view_schema, v.view_name) END
  FROM tapdb.journal_view v
  WHERE v.shown_schema = $1 AND v.shown_name = $2
    AND has_table_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
      to_regclass(format('%I.%I', v.shown_schema, v.shown_name))::oid, 'SELECT')
$$;
ALTER FUNCTION tapdb.journal_state(text, text, pg_snapshot) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.journal_state(text, text, pg_snapshot) IS 'What the journal of a view can say to one who has seen it up to a snapshot.';
REVOKE ALL ON FUNCTION tapdb.journal_state(text, text, pg_snapshot) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.journal_state(text, text, pg_snapshot) TO tapdb_reader;
