-- Rows as they were at revision 0001, in the tables that a migration of a registry and of a PPDB leaves empty. Frozen with it.
INSERT INTO ppdb."DiaForcedSource"
  ("diaForcedSourceId", "diaObjectId", visit, detector, ra, dec, "midpointMjdTai", "timeProcessedMjdTai", "psfFlux")
VALUES (1, 7, 100, 1, 62, -37, 61000.1, 61000.2, 120.5), (2, 7, 101, 1, 62, -37, 61001.1, 61001.2, 98.25);
INSERT INTO ppdb_history.stored_query
  (pid, natural_adql, normalised_adql, query_sha256, repeatable_adql, snapshot_id, t_mjd_tai, schema_version,
  result_digest, column_digest, row_count, uploads, guarantee, superset, citation, landing, record, record_sha256)
VALUES ('ppdb.1', 'SELECT 1', 'SELECT 1', encode(sha256('SELECT 1'), 'hex'), 'SELECT 1', 1, 61000, '1', 'd', 'c', 1, '{}',
  'exact', '', 'cited', '{}', '{}', encode(sha256('{}'), 'hex'));
INSERT INTO ppdb_history.stored_query_check (pid, software, outcome, problem) VALUES ('ppdb.1', 'tapdb 0.1', 'identical', '');
INSERT INTO ppdb_history.stored_query_revision (pid, revision, record, record_sha256, software)
VALUES ('ppdb.1', 2, '{}', encode(sha256('{}'), 'hex'), 'tapdb 0.1');
INSERT INTO tap_schema.keys (key_id, from_table, target_table) VALUES ('own_key', 'ivoa.ObsCore', 'ivoa.ObsCore');
INSERT INTO tap_schema.key_columns (key_id, from_column, target_column) VALUES ('own_key', 'obs_id', 'obs_id');
INSERT INTO tap_schema.datalink_service (service_id, table_name, access_url)
VALUES ('own_service', 'ivoa.ObsCore', 'https://example.org/links');
INSERT INTO tap_schema.datalink_parameter (service_id, parameter_name, value) VALUES ('own_service', 'RESPONSEFORMAT', 'votable');
