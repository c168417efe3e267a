"""Keys of ObsCore lead to tables of exposures and visits where these are published."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tap_schema.stored import read_rows

_TABLES = """
CREATE SCHEMA cdb_lsstcam;
CREATE TABLE cdb_lsstcam.visit1 (visit_id bigint PRIMARY KEY, day_obs int);
INSERT INTO cdb_lsstcam.visit1
  SELECT DISTINCT lsst_visit, 20260301 FROM ivoa.obscore WHERE lsst_visit IS NOT NULL;
GRANT USAGE ON SCHEMA cdb_lsstcam TO tapdb_reader;
GRANT SELECT ON cdb_lsstcam.visit1 TO tapdb_reader;
"""
_FELIS = """
name: cdb_lsstcam
description: Observations of LSSTCam
tables:
- name: visit1
  description: Visits
  columns:
  - {name: visit_id, datatype: long, description: Number of the visit}
  - {name: day_obs, datatype: int, description: Day}
"""
_JOINED = """
SELECT count(*) FROM ivoa.obscore o JOIN cdb_lsstcam.visit1 v ON o.lsst_visit = v.visit_id
"""


def test_a_visit_table_that_is_published_is_the_target_of_a_key(
    view_connection: sa.Connection, tmp_path: Path
) -> None:
    connection = view_connection
    file = tmp_path / "cdb.yaml"
    file.write_text(_FELIS)
    assert _keys_of_obscore(connection) == {}
    connection.execute(sa.text(_TABLES))
    assert _keys_of_obscore(connection, str(file)) == {
        "ivoa.ObsCore.lsst_visit_cdb_lsstcam_visit1": ("lsst_visit", "cdb_lsstcam.visit1", "visit_id")
    }
    assert connection.scalar(sa.text(_JOINED)) > 10


def _keys_of_obscore(connection: sa.Connection, *files: str) -> dict[str, tuple[str, str, str]]:
    """Publish what files describe, and return the keys of ObsCore."""
    generated = assemble(connection, files)
    assert [one for one in generated.findings if "foreign key" in str(one)] == []
    publish(connection, generated.rows)
    rows = read_rows(connection)
    pairs = {row.key_id: (row.from_column, row.target_column) for row in rows.key_columns}
    return {
        row.key_id: (pairs[row.key_id][0], row.target_table, pairs[row.key_id][1])
        for row in rows.keys
        if row.from_table == "ivoa.ObsCore"
    }
