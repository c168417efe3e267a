"""Fourteen ways to spoil a TAP_SCHEMA or the table that it describes: each is caught by lint, diff or values.

They are those on which taplint was tried; the last of them taplint does not see.
"""

from __future__ import annotations

# ruff: noqa: E501 - a table
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from alembic import command

from obscore_view.derived import STANDARD
from tap_schema.assemble import assemble
from tap_schema.lint import check_values, lint_rows
from tap_schema.script import diff_rows
from tap_schema.stored import read_rows
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_engine

COLUMN = "UPDATE tap_schema.columns SET {} WHERE table_name = 'ivoa.ObsCore' AND column_name = '{}'"
OBSCORE = """
CREATE TABLE ivoa.obscore (
  dataproduct_type text, calib_level integer, obs_collection text, obs_id text, obs_publisher_did text,
  access_url text, access_format text, access_estsize bigint, target_name text, s_ra double precision,
  s_dec double precision, s_fov double precision, s_region text, s_resolution double precision, s_xel1 bigint,
  s_xel2 bigint, t_min double precision, t_max double precision, t_exptime double precision,
  t_resolution double precision, t_xel bigint, em_min double precision, em_max double precision,
  em_res_power double precision, em_xel bigint, o_ucd text, pol_states text, pol_xel bigint,
  facility_name text, instrument_name text, "time" double precision
);
COMMENT ON COLUMN ivoa.obscore."time" IS 'When';
INSERT INTO ivoa.obscore (dataproduct_type, calib_level, obs_collection, obs_id, obs_publisher_did)
VALUES ('image', 2, 'c', 'i', 'ivo://x');
GRANT SELECT ON ivoa.obscore TO tapdb_reader;
"""
MUTATIONS = {
    "missing self key": ("DELETE FROM tap_schema.key_columns WHERE key_id LIKE '%%columns_table_name_fkey'; DELETE FROM tap_schema.keys WHERE key_id LIKE '%%columns_table_name_fkey'", "self-key"),
    "std 0 on a standard column": ("UPDATE tap_schema.columns SET std = 0 WHERE table_name = 'tap_schema.keys'",
                                   "standard-std"),
    "unit": (COLUMN.format("unit = 'rad'", "s_ra"), "standard-unit"),
    "ucd": (COLUMN.format("ucd = 'pos.eq.dec'", "s_ra"), "standard-ucd"),
    "utype": (COLUMN.format("utype = 'Char.Wrong'", "s_ra"), "standard-utype"),
    "calib_level as text": (COLUMN.format("datatype = 'char', arraysize = '*'", "calib_level"), "standard-datatype"),
    "mandatory row missing": ("DELETE FROM tap_schema.columns WHERE column_name = 'access_estsize'", "mandatory"),
    "row for an absent column": ("INSERT INTO tap_schema.columns (table_name, column_name, datatype, description) VALUES ('ivoa.ObsCore', 'absent', 'int', 'x')", "removed"),
    "unquoted reserved word": ("UPDATE tap_schema.columns SET column_name = 'time' WHERE column_name = '\"time\"'",
                               "reserved-word"),
    "dataproduct_type catalog": ("UPDATE ivoa.obscore SET dataproduct_type = 'catalog'", "value"),
    "calib_level 7": ("UPDATE ivoa.obscore SET calib_level = 7", "value"),
    "obs_id NULL": ("UPDATE ivoa.obscore SET obs_id = NULL", "null"),
    "dangling key": ("UPDATE tap_schema.key_columns SET from_column = 'nothing' WHERE key_id LIKE '%%columns_table_name_fkey'", "dangling-key"),
    "arraysize 2 on a scalar": (COLUMN.format("arraysize = '2'", "s_ra"), "changed"),
}  # fmt: skip


@pytest.fixture(scope="module")
def engine(clone_for_session: Callable[[str], sa.URL], migrated_template: str) -> Iterator[sa.Engine]:
    made = create_engine(clone_for_session(migrated_template))
    with made.begin() as connection:
        connection.exec_driver_sql(OBSCORE)
        command.upgrade(alembic_config(connection, obscore="off"), "head")
    yield made
    made.dispose()


def caught(connection: sa.Connection) -> set[str]:
    """Return what lint, diff and the check of values find."""
    rows = read_rows(connection)
    generated = assemble(connection)
    return {
        *(one.rule for one in lint_rows(rows, standards=[STANDARD]) if one.severity == "error"),
        *(one.rule for one in generated.findings if one.severity == "error"),
        *(one.kind for one in diff_rows(rows, generated.rows)),
        *(one.rule for one in check_values(connection, rows, [STANDARD])),
    }


def test_nothing_is_caught_where_nothing_was_spoilt(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert caught(connection) == set()


def test_there_are_fourteen_mutations() -> None:
    assert len(MUTATIONS) == 14


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_caught(engine: sa.Engine, name: str) -> None:
    statement, expected = MUTATIONS[name]
    with engine.connect() as connection:
        changed = connection.exec_driver_sql(statement)
        assert changed.rowcount != 0
        assert expected in caught(connection)
        connection.rollback()
