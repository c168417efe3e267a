-- The tables that say what the views were made from: a mapping goes with its view, and nonsense is refused.
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(9);

SELECT tables_are('tapdb', ARRAY['alembic_version', 'view_definition', 'dataset_type_mapping', 'tap_schema_undo',
  'keeping', 'kept_note', 'uws_job', 'combined_view', 'followed_change', 'coverage_view', 'coverage_delta',
  'coverage_group', 'coverage_total', 'region_moc', 'provenance_run', 'provenance_quantum', 'provenance_dataset', 'provenance_edge',
  'observation_plan', 'published_product', 'journal', 'journal_view']);
SELECT col_is_pk('tapdb', 'view_definition', ARRAY['view_schema', 'view_name', 'kept'],
  'one row for each view and set of kept tables');
SELECT col_is_pk('tapdb', 'dataset_type_mapping', ARRAY['view_schema', 'view_name', 'kept', 'dataset_type'],
  'one row for each view, set of kept tables and dataset type');
SELECT fk_ok('tapdb', 'dataset_type_mapping', ARRAY['view_schema', 'view_name', 'kept'], 'tapdb', 'view_definition',
  ARRAY['view_schema', 'view_name', 'kept']);

INSERT INTO tapdb.view_definition
  (view_schema, view_name, registry_schema, config_yaml, config_sha256, fingerprint, geometry_mode, software_version)
VALUES ('ivoa', 'obscore', 'dp1', 'facility_name: Rubin', encode(sha256('facility_name: Rubin'), 'hex'), '{}', 'table', '0.1.0');
INSERT INTO tapdb.dataset_type_mapping (view_schema, view_name, dataset_type, registered, calib_level)
VALUES ('ivoa', 'obscore', 'raw', true, 1);
SELECT throws_ok($$ UPDATE tapdb.dataset_type_mapping SET calib_level = 5 $$, '23514');
SELECT throws_ok($$ UPDATE tapdb.view_definition SET config_sha256 = 'unknown' $$, '23514');
SELECT throws_ok($$ INSERT INTO tapdb.dataset_type_mapping (view_schema, view_name, dataset_type, registered, calib_level)
  VALUES ('ivoa', 'nothing', 'raw', true, 1) $$, '23503');
SELECT lives_ok($$ DELETE FROM tapdb.view_definition $$);
SELECT is_empty($$ SELECT * FROM tapdb.dataset_type_mapping $$, 'the mapping of a view goes with the view');

SELECT * FROM finish();
ROLLBACK;
