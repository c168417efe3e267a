-- Rules that hold for every function of schema tapdb, and the flags that a planner goes by.
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(16);

SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'tapdb'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
$$, 'every function has a comment');
SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'tapdb'::regnamespace AND p.proowner <> 'tapdb_owner'::regrole
$$, 'every function belongs to the owner');
SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'tapdb'::regnamespace AND p.prosecdef
    AND NOT coalesce(p.proconfig && ARRAY['search_path=pg_catalog, pg_temp', 'search_path=pg_catalog, tapdb, pg_temp'], false)
$$, 'a function with the rights of its owner fixes its search_path');
SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  WHERE p.pronamespace = 'tapdb'::regnamespace AND a.grantee = 0 AND (p.prosecdef OR p.provolatile = 'v')
$$, 'what writes, or has the rights of its owner, is not for everybody');
SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'tapdb'::regnamespace AND p.provolatile = 'i'
    AND NOT has_function_privilege('tapdb_reader', p.oid, 'EXECUTE')
$$, 'what only computes is for the reader, whose rights it runs with in a view');
SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'tapdb'::regnamespace
    AND p.prosrc ~* '\yEXCEPTION\s+WHEN\y' AND p.proparallel = 's'
$$, 'what catches exceptions needs subtransactions, which a parallel worker has not');
SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'tapdb'::regnamespace AND p.prorettype = 'trigger'::regtype AND NOT p.prosecdef
$$, 'a trigger writes with the rights of its owner, not of whoever ingests');

SELECT has_function('tapdb', 's_region', ARRAY['text']);
SELECT volatility_is('tapdb', 's_region', ARRAY['text'], 'immutable');
SELECT is(proparallel, 's', 's_region may run in parallel') FROM pg_proc WHERE oid = 'tapdb.s_region(text)'::regprocedure;
SELECT volatility_is('tapdb', 'utc_mjd', ARRAY['bigint'], 'immutable');
SELECT is(proparallel, 's', 'utc_mjd may run in parallel') FROM pg_proc WHERE oid = 'tapdb.utc_mjd(bigint)'::regprocedure;
SELECT isnt_strict('tapdb', 'utc_mjd', ARRAY['bigint'], 'utc_mjd is not strict: a strict function is not inlined');

-- As whoever reads a view: functions that call each other by name have to be found.
SET LOCAL ROLE tapdb_reader;
SELECT lives_ok($$ SELECT tapdb.s_region('no region') $$, 'the reader can call s_region');
SELECT is(tapdb.s_region('no region'), NULL, 'a region that cannot be decoded is NULL');
SELECT throws_ok('SELECT * FROM tapdb.view_definition', '42501', NULL, 'but reads no table of schema tapdb');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
