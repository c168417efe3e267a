-- sha256 836e445e239433e298757c36ec9d53fa386c0a411ffd53e92fcd25a6221d2a66
-- Lets the planner estimate conditions on regions (`pgs_region && circle` and the like) from the column's n_distinct, or as pg_sphere does.
-- pg_sphere estimates a thousandth of the table for every region: 1,000 hits among a million regions where there are 3, and hash joins
-- over whole tags tables follow. 'eqsel' with n_distinct = -1 on the kept polygons estimates one. pg_sphere's own estimator is 'contsel'.
-- Joins with uploaded positions are estimated in the same way, by eqjoinsel or contjoinsel.
-- Operators belong to the superuser who installed pg_sphere: anybody else gets 0 and nothing changes. pg_dump does not keep it.
-- Returns the number of operators that have the estimator now.
-- requires: schemas/tapdb, roles/tapdb_owner
-- drop
DROP FUNCTION IF EXISTS tapdb.set_region_selectivity(text);
-- create
CREATE FUNCTION tapdb.set_region_selectivity(estimator text) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  join_estimator CONSTANT text := replace(estimator, 'sel', 'joinsel');
  operator record;
  done integer := 0;
BEGIN
  IF estimator NOT IN ('eqsel', 'contsel') THEN
    RAISE EXCEPTION 'estimator %: write eqsel or contsel', estimator USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOR operator IN
    SELECT o.oprname, n.nspname, format_type(o.oprleft, NULL) AS lefttype, format_type(o.oprright, NULL) AS righttype,
      o.oprrest::text AS now, o.oprjoin::text AS now_join
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE o.oprname IN ('&&', '@>', '<@', '@', '~') AND to_regtype('public.spoly') IN (o.oprleft, o.oprright)
  LOOP
    IF operator.now <> estimator OR operator.now_join <> join_estimator THEN
      EXECUTE format('ALTER OPERATOR %I.%s (%s, %s) SET (RESTRICT = %s, JOIN = %s)',
        operator.nspname, operator.oprname, operator.lefttype, operator.righttype, estimator, join_estimator);
    END IF;
    done := done + 1;
  END LOOP;
  RETURN done;
EXCEPTION WHEN insufficient_privilege THEN
  RETURN 0;
END
$$;
ALTER FUNCTION tapdb.set_region_selectivity(text) OWNER TO tapdb_owner;
COMMENT ON FUNCTION tapdb.set_region_selectivity(text) IS 'Sets the selectivity estimators (eqsel or contsel, and those of joins) of the operators on pg_sphere polygons; returns how many have them.';
REVOKE ALL ON FUNCTION tapdb.set_region_selectivity(text) FROM PUBLIC;
