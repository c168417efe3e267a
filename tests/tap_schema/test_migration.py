"""``alembic upgrade head`` describes by itself what it and other derived objects have made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command

from adql import Server, parse, to_postgres
from examples.lsstcam import OBSCORE_CONFIG
from obscore_view.columns import OBSCORE_COLUMNS
from obscore_view.derived import STANDARD
from tap_query.metadata import read_metadata
from tap_schema.history import read_generations
from tap_schema.lint import lint_rows
from tap_schema.stored import read_rows
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_engine


def upgrade(url: sa.URL) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        config = alembic_config(connection, obscore_config=str(OBSCORE_CONFIG), registry_schema="plain")
        command.upgrade(config, "head")
    engine.dispose()


def test_upgrade_describes_obscore_and_tap_schema_in_its_own_transaction(butler_database: sa.URL) -> None:
    upgrade(butler_database)
    engine = create_engine(butler_database)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET ROLE tapdb_reader")
        rows = read_rows(connection)
        (table,) = (row for row in rows.tables if row.schema_name == "ivoa")
        assert (table.table_name, table.table_type) == ("ivoa.ObsCore", "view")
        assert table.utype == "ivo://ivoa.net/std/obscore#table-1.1"
        columns = {row.column_name: row for row in rows.columns if row.table_name == "ivoa.ObsCore"}
        standard = {one.name for one in OBSCORE_COLUMNS if one.mandatory}
        assert standard <= set(columns)
        assert not {"pgs_region", "pgs_center"} & set(columns)
        assert {name for name in standard if columns[name].indexed} >= {"s_region"}
        assert columns["registry_dataset_id"].indexed == 1
        assert columns["lsst_visit"].description
        errors = [one for one in lint_rows(rows, standards=[STANDARD]) if one.severity == "error"]
        assert errors == []
        metadata = read_metadata(connection)
        compiled = to_postgres(
            parse("SELECT TOP 3 obs_id, lsst_visit FROM ivoa.obscore WHERE calib_level = 1"),
            metadata,
            server=Server(inline=True),
        )
        assert len(connection.exec_driver_sql(compiled.sql).all()) == 3
    engine.dispose()


def test_a_second_upgrade_publishes_nothing(butler_database: sa.URL) -> None:
    upgrade(butler_database)
    upgrade(butler_database)
    engine = create_engine(butler_database)
    with engine.connect() as connection:
        assert [one.comment for one in read_generations(connection)] == ["alembic"]
    engine.dispose()


def test_downgrade_takes_the_description_with_it(migrated_database: sa.URL) -> None:
    engine = create_engine(migrated_database)
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection, obscore="off"), "base")
    with engine.begin() as connection:
        assert not sa.inspect(connection).has_schema("tap_schema")
        command.upgrade(alembic_config(connection, obscore="off"), "head")
        assert read_rows(connection).tables
    engine.dispose()
