-- TAP_SCHEMA in SQL: what can never be written, what is computed, and what the reader may do.
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(22);

SELECT has_table('tap_schema', name, name) FROM unnest(ARRAY['schemas', 'tables', 'columns', 'keys', 'key_columns']) AS name;
SELECT has_view('tap_schema', name, name) FROM unnest(ARRAY['schemas11', 'tables11', 'columns11', 'keys11', 'key_columns11']) AS name;

INSERT INTO tap_schema.columns (table_name, column_name, datatype, arraysize) VALUES
  ('x.t', 'scalar', 'double', NULL), ('x.t', 'fixed', 'char', '36'), ('x.t', 'most', 'char', '64*'),
  ('x.t', 'any', 'char', '*'), ('x.t', 'matrix', 'double', '2x3');
SELECT results_eq($$ SELECT column_name, "size" FROM tap_schema.columns WHERE table_name = 'x.t' AND "size" IS NOT NULL ORDER BY 1 $$,
  $$ VALUES ('fixed', 36), ('most', 64) $$, 'size is the number in arraysize, if there is one in one dimension');
SELECT throws_ok($$ INSERT INTO tap_schema.columns (table_name, column_name, datatype, "size") VALUES ('x.t', 'a', 'int', 3) $$, '428C9');
SELECT throws_ok($$ INSERT INTO tap_schema.columns (table_name, column_name, datatype) VALUES ('x.t', 'a', 'integer') $$, '23514');
SELECT throws_ok($$ INSERT INTO tap_schema.columns (table_name, column_name, datatype, arraysize) VALUES ('x.t', 'a', 'char', '1') $$, '23514');
SELECT throws_ok($$ INSERT INTO tap_schema.columns (table_name, column_name, datatype, arraysize) VALUES ('x.t', 'a', 'char', '3*x2') $$, '23514');
SELECT throws_ok($$ INSERT INTO tap_schema.columns (table_name, column_name, datatype, principal) VALUES ('x.t', 'a', 'int', 2) $$, '23514');
SELECT throws_ok($$ INSERT INTO tap_schema.tables (schema_name, table_name, table_type) VALUES ('x', 'x.t', 'BASE TABLE') $$, '23514');
SELECT throws_ok($$ SET CONSTRAINTS ALL IMMEDIATE $$, '23503', NULL, 'a column of a table that is not published is refused, at commit at the latest');

SELECT is(column_id, 'x_t_most', 'the ID of a FIELD is made of names') FROM tap_schema.columns11 WHERE column_name = 'most';
SELECT table_privs_are('tap_schema', 'columns', 'tapdb_reader', ARRAY['SELECT']);
SELECT table_privs_are('tap_schema', 'columns11', 'tapdb_reader', ARRAY['SELECT']);
SELECT table_privs_are('tapdb', 'tap_schema_undo', 'tapdb_reader', ARRAY[]::text[]);

SELECT * FROM finish();
ROLLBACK;
