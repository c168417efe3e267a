-- Who may do what: the reader reads what is published, nobody reads the internals, and later objects follow.
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(27);

SELECT has_role('tapdb_owner');
SELECT has_role('tapdb_reader');
SELECT isnt_superuser('tapdb_owner');
SELECT isnt_superuser('tapdb_reader');
SELECT is_empty($$ SELECT rolname FROM pg_roles WHERE rolname IN ('tapdb_owner', 'tapdb_reader') AND (rolcanlogin OR rolcreaterole OR rolbypassrls) $$,
  'neither role logs in, makes roles or passes by row security');
SELECT isnt_member_of('tapdb_owner', 'tapdb_reader', 'the reader is no owner');

SELECT schema_owner_is('ivoa', 'tapdb_owner');
SELECT schema_owner_is('tap_schema', 'tapdb_owner');
SELECT schema_owner_is('ppdb', 'tapdb_owner');
SELECT schema_owner_is('tapdb', 'tapdb_owner');
SELECT schema_privs_are('ivoa', 'tapdb_reader', ARRAY['USAGE']);
SELECT schema_privs_are('tap_schema', 'tapdb_reader', ARRAY['USAGE']);
SELECT schema_privs_are('ppdb', 'tapdb_reader', ARRAY['USAGE']);
SELECT schema_privs_are('tapdb', 'tapdb_reader', ARRAY['USAGE'], 'names of functions can be looked up');

CREATE ROLE tapdb_test_stranger;
SELECT schema_privs_are('ivoa', 'tapdb_test_stranger', ARRAY[]::text[]);
SELECT schema_privs_are('tap_schema', 'tapdb_test_stranger', ARRAY[]::text[]);
SELECT schema_privs_are('ppdb', 'tapdb_test_stranger', ARRAY[]::text[]);
SELECT schema_privs_are('tapdb', 'tapdb_test_stranger', ARRAY['USAGE'], 'whoever ingests may look up names of functions');

SELECT is_empty($$
  SELECT c.oid::regclass, r.rolname FROM pg_class c, pg_roles r
  WHERE c.relnamespace = 'tapdb'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND r.rolname IN ('tapdb_reader', 'tapdb_test_stranger')
    AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
$$, 'no table of schema tapdb is open to the reader or to strangers');
SELECT is_empty($$
  SELECT c.oid::regclass FROM pg_class c
  WHERE c.relnamespace = 'tapdb'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relowner <> 'tapdb_owner'::regrole
$$, 'every table of schema tapdb belongs to the owner');

SET LOCAL ROLE tapdb_owner;
CREATE TABLE tap_schema.later (x int);
CREATE VIEW ivoa.later AS SELECT 1 AS x;
CREATE TABLE ppdb.later (x int);
CREATE TABLE tapdb.later (x int);
RESET ROLE;
SELECT table_privs_are('tap_schema', 'later', 'tapdb_reader', ARRAY['SELECT']);
SELECT table_privs_are('ivoa', 'later', 'tapdb_reader', ARRAY['SELECT']);
SELECT table_privs_are('ppdb', 'later', 'tapdb_reader', ARRAY['SELECT']);
SELECT table_privs_are('tapdb', 'later', 'tapdb_reader', ARRAY[]::text[]);
SELECT table_privs_are('ivoa', 'later', 'tapdb_test_stranger', ARRAY[]::text[]);
-- An object that somebody else has made there is nobody's to read.
CREATE TABLE ivoa.foreigner (x int);
SELECT table_privs_are('ivoa', 'foreigner', 'tapdb_reader', ARRAY[]::text[]);
SELECT database_privs_are(current_database(), 'tapdb_reader', ARRAY['CONNECT', 'TEMPORARY']);

SELECT * FROM finish();
ROLLBACK;
