-- What a dataset was made of, and what that was made of, up to a number of levels; each dataset once, on its lowest level.
-- A row for each dataset that an execution read, and one with no such dataset for an execution that read nothing.
-- Level by level by the indexes: a recursive query would walk a dataset again for each way that leads to it.
-- No other plan is taken: after a load, before statistics are new, it would read all edges.
-- requires: schemas/tapdb, roles/tapdb_reader, tables/tapdb.provenance_edge, tables/tapdb.provenance_quantum, tables/tapdb.provenance_run
-- drop
DROP FUNCTION IF EXISTS tapdb.ancestors(uuid, integer);
-- create
CREATE FUNCTION tapdb.ancestors(dataset uuid, levels integer) RETURNS TABLE (level integer, made uuid, quantum uuid, used uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
  frontier uuid[] := ARRAY[ancestors.dataset];
  seen uuid[] := ARRAY[ancestors.dataset];
  found uuid[];
BEGIN
  FOR depth IN 1..ancestors.levels LOOP
    EXIT WHEN cardinality(frontier) = 0;
    found := '{}';
    FOR level, made, quantum, used IN
      SELECT depth, w.dataset, w.quantum, r.dataset
      FROM unnest(frontier) AS f (dataset)
      JOIN tapdb.provenance_edge w ON w.dataset = f.dataset AND NOT w.is_read
      JOIN tapdb.provenance_quantum q ON q.quantum = w.quantum
      JOIN tapdb.provenance_run u ON u.run = q.run AND u.is_public
      LEFT JOIN tapdb.provenance_edge r ON r.quantum = w.quantum AND r.is_read
    LOOP
      RETURN NEXT;
      found := found || used;
    END LOOP;
    SELECT coalesce(array_agg(DISTINCT f.dataset), '{}') INTO frontier
    FROM unnest(found) AS f (dataset)
    WHERE f.dataset <> ALL (seen);
    seen := seen || frontier;
  END LOOP;
END
$$;
ALTER FUNCTION tapdb.ancestors(uuid, integer) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.ancestors(uuid, integer) IS 'What a dataset was made of, and what that was made of, up to a number of levels.';
REVOKE ALL ON FUNCTION tapdb.ancestors(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tapdb.ancestors(uuid, integer) TO tapdb_reader;
