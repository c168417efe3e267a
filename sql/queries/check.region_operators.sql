-- Operators on pg_sphere polygons with estimators of selectivity other than eqsel and eqjoinsel: (operator, estimator).
SELECT o.oid::regoperator::text AS operator, o.oprrest::regproc::text AS estimator
FROM pg_operator o
WHERE o.oprname IN ('&&', '@>', '<@', '@', '~') AND to_regtype('public.spoly') IN (o.oprleft, o.oprright)
  AND (o.oprrest <> 'eqsel'::regproc OR o.oprjoin <> 'eqjoinsel'::regproc)
ORDER BY o.oid
