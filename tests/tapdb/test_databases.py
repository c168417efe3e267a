"""Databases are made, copied and dropped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tapdb.errors import DatabaseUnavailableError
from tapdb.postgres.engine import checked_connection, create_database, create_engine, drop_database
from tests.plugins.server import Server


def databases(server: Server) -> set[str]:
    with checked_connection(server.url()) as session:
        return set(session.exec_driver_sql("SELECT datname FROM pg_database").scalars())


def test_a_copy_has_what_its_template_had_and_goes_its_own_way(
    clone_database: Callable[[str], sa.URL], template_database: str
) -> None:
    first = clone_database(template_database)
    with checked_connection(first) as session:
        session.exec_driver_sql("CREATE TABLE t AS SELECT 1 AS i")
        session.commit()
    second = clone_database(str(first.database))
    with checked_connection(second) as session:
        session.exec_driver_sql("INSERT INTO t VALUES (2)")
        session.commit()
        assert session.exec_driver_sql("SELECT count(*) FROM t").scalar() == 2
    with checked_connection(first) as session:
        assert session.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1


def test_any_name_is_a_name(server: Server) -> None:
    name = 'tapdb "odd" name; %s :x'
    url = create_database(server.url(), name)
    with checked_connection(url) as session:
        assert session.exec_driver_sql("SELECT current_database()").scalar() == name
    drop_database(server.url(), name)
    assert name not in databases(server)


def test_a_database_in_use_is_dropped_and_a_missing_one_is_no_error(server: Server) -> None:
    url = create_database(server.url(), "tapdb_in_use")
    engine = create_engine(url)
    session = engine.connect()
    session.exec_driver_sql("SELECT 1")
    drop_database(server.url(), "tapdb_in_use")
    with pytest.raises(DatabaseUnavailableError):
        session.exec_driver_sql("SELECT 1")
    session.invalidate()
    session.close()
    engine.dispose()
    assert "tapdb_in_use" not in databases(server)
    drop_database(server.url(), "tapdb_in_use")
