"""A copy of TAP_SCHEMA that is not whole yet is read by nobody: half of it would look like all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from alembic import command

from tap_query.errors import TapSchemaIncompleteError
from tap_query.metadata import read_metadata
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tap_schema.stored import read_published, read_rows, read_whole_rows
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import checked_connection, create_database, create_engine, drop_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer
from tests.plugins.server import Server
from tests.plugins.tap_schema_fixtures import FELIS, SMALL
from tests.ppdb_replay.ppdb_rows import connect
from tests.ppdb_replay.subscriptions import wait_for

OF_QUERIES = ("tables", "columns")
BELOW = ("columns", "tables", "schemas", "keys", "key_columns", "datalink_service", "datalink_parameter")
ALL = (*BELOW, "generation")


def listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"tap_schema.{name}" for name in names)


@pytest.fixture(scope="module")
def source(
    replicating_server: EphemeralServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.Engine]:
    """Return a database of another cluster that publishes the small schema."""
    url = create_database(replicating_server.url(), "described")
    with checked_connection(url) as session:
        install_extensions(session)
        session.commit()
    with checked_connection(url) as session:
        command.upgrade(alembic_config(session, obscore="off"), "head")
    file = tmp_path_factory.mktemp("felis") / "small.yaml"
    file.write_text(FELIS)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(SMALL)
        publish(connection, assemble(connection, [str(file)]).rows)
    yield engine
    engine.dispose()
    drop_database(replicating_server.url(), "described")


@pytest.fixture(scope="module")
def quick_server(server: Server) -> Iterator[None]:
    """Let subscriptions of the usual server begin their copies without a pause of five seconds."""
    with connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'")
        connection.execute("SELECT pg_reload_conf()")
        yield
        connection.execute("ALTER SYSTEM RESET wal_retrieve_retry_interval")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def target(small_database: sa.Engine, quick_server: None) -> sa.Engine:
    """Return a database with the same tables and an empty TAP_SCHEMA."""
    with small_database.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {listed(ALL)} CASCADE")
    return small_database


@contextmanager
def subscription(source: sa.URL, target: sa.URL, names: tuple[str, ...]) -> Iterator[None]:
    """Let the target have what the source holds of some tables of TAP_SCHEMA, and follow it."""
    dsn = source.set(drivername="postgresql").render_as_string(hide_password=False)
    with connect(source, autocommit=True) as connection:
        connection.execute(f"CREATE PUBLICATION described FOR TABLE {listed(names)}".encode())
    with connect(target, autocommit=True) as connection:
        connection.execute(f"CREATE SUBSCRIPTION described CONNECTION '{dsn}' PUBLICATION described".encode())
    try:
        yield
    finally:
        with connect(target, autocommit=True) as connection:
            connection.execute("DROP SUBSCRIPTION described")
        with connect(source, autocommit=True) as connection:
            connection.execute("DROP PUBLICATION described")


def readers(target: sa.Engine) -> tuple[Callable[[], object], ...]:
    """Return the ways to read what is published: for queries, for a service, for a file."""

    def metadata() -> object:
        with target.connect() as connection:
            return read_metadata(connection)

    def published() -> object:
        with target.connect() as connection:
            return read_published(connection)

    def rows() -> object:
        with target.connect() as connection:
            return read_whole_rows(connection)

    return metadata, published, rows


READY = "SELECT count(*) = {} FROM pg_subscription_rel WHERE srsubstate = 'r'"


def test_a_copy_is_read_when_it_is_whole_and_not_before(source: sa.Engine, target: sa.Engine) -> None:
    metadata, *others = readers(target)
    with connect(target.url) as holder, connect(target.url, autocommit=True) as watching:
        # The columns cannot be copied while somebody reads them so; all others can.
        holder.execute("LOCK TABLE tap_schema.columns IN SHARE MODE")
        with subscription(source.url, target.url, ALL):
            assert wait_for(watching, READY.format(len(ALL) - 1))
            with target.connect() as connection:
                half = read_rows(connection)
            assert half.tables
            assert not half.columns
            for read in (metadata, *others):
                with pytest.raises(
                    TapSchemaIncompleteError, match=r"still copies tap_schema\.columns\nWait until"
                ):
                    read()
            holder.rollback()
            assert wait_for(watching, READY.format(len(ALL)))
            with source.connect() as there:
                expected = read_published(there)
            with target.connect() as here:
                assert read_published(here).rows == expected.rows
                assert read_published(here).generation == expected.generation
            metadata()


@pytest.mark.parametrize(
    ("names", "can_query"),
    [(("columns",), False), (BELOW, True)],
    ids=["the columns alone", "all but the generation"],
)
def test_tables_that_come_on_different_ways_are_not_read_together(
    source: sa.Engine, target: sa.Engine, names: tuple[str, ...], *, can_query: bool
) -> None:
    metadata, *others = readers(target)
    with connect(target.url, autocommit=True) as watching, subscription(source.url, target.url, names):
        assert wait_for(watching, READY.format(len(names)))
        for read in others:
            with pytest.raises(TapSchemaIncompleteError, match=r"or none: .*tap_schema\.generation"):
                read()
        if can_query:
            metadata()
        else:
            with pytest.raises(TapSchemaIncompleteError, match=r"or none: tap_schema\.tables\n"):
                metadata()


@pytest.fixture
def whole(small_database: sa.Engine, felis_file: Callable[..., str]) -> sa.Engine:
    """Return a database that publishes the small schema itself."""
    with small_database.begin() as connection:
        publish(connection, assemble(connection, [felis_file()]).rows)
    return small_database


@pytest.mark.parametrize("name", BELOW[:5])
def test_a_restore_that_has_not_come_to_all_tables_is_not_read(whole: sa.Engine, name: str) -> None:
    with whole.begin() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        gone = connection.exec_driver_sql(f"DELETE FROM tap_schema.{name}").rowcount  # noqa: S608
    assert gone > 0
    for read in readers(whole):
        with pytest.raises(
            TapSchemaIncompleteError, match=r"\d+ rows were published, and \d+ are here\nWait"
        ):
            read()


def test_after_rows_were_deleted_by_hand_publishing_makes_it_whole_again(
    whole: sa.Engine, felis_file: Callable[..., str]
) -> None:
    with whole.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tap_schema.columns WHERE column_name = 'loud'")
    with whole.begin() as connection:
        publish(connection, assemble(connection, [felis_file()]).rows)
    for read in readers(whole):
        read()


def test_who_may_read_tables_and_columns_alone_can_query(whole: sa.Engine) -> None:
    with whole.begin() as connection:
        connection.exec_driver_sql("SET LOCAL client_min_messages = error")
        connection.exec_driver_sql("DROP ROLE IF EXISTS narrow; CREATE ROLE narrow")
        connection.exec_driver_sql(f"GRANT SELECT ON {listed(OF_QUERIES)} TO narrow")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA tap_schema TO narrow")
        connection.exec_driver_sql("SET LOCAL ROLE narrow")
        assert read_metadata(connection).tables
        connection.exec_driver_sql("RESET ROLE; DROP OWNED BY narrow; DROP ROLE narrow")
