"""Generation, rows and metadata belong together, whoever publishes between the reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from adql import metadata_from_rows
from adql.metadata import COLUMN_FIELDS, TableMetadata
from tap_query.metadata import read_metadata
from tap_schema import stored
from tap_schema.assemble import assemble
from tap_schema.errors import TapSchemaSnapshotError
from tap_schema.history import read_generations
from tap_schema.publish import publish
from tap_schema.rows import ColumnRow
from tap_schema.stored import Published, read_published, read_rows, stored_table


@pytest.fixture
def published(small_database: sa.Engine, felis_file: Callable[..., str]) -> sa.Engine:
    """Return a database that publishes the small schema."""
    with small_database.begin() as connection:
        publish(connection, assemble(connection, [felis_file()]).rows)
    return small_database


@pytest.fixture
def forget_between(published: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets another session publish without the small schema before the columns are read."""

    def arm() -> None:
        waiting = ["columns"]

        def between(name: str) -> sa.TableClause:
            if name in waiting:
                waiting.clear()
                with published.begin() as other:
                    publish(other, assemble(other, forget=["small"]).rows)
            return stored_table(name)

        monkeypatch.setattr(stored, "stored_table", between)

    return arm


def names(found: Published) -> tuple[set[str], set[str], set[str]]:
    """Return the tables of the rows, those that have columns, and those of the metadata."""
    return (
        {row.table_name for row in found.rows.tables},
        {row.table_name for row in found.rows.columns},
        {".".join(table.name) for table in found.metadata.tables},
    )


def test_what_is_read_is_what_each_reader_alone_finds(published: sa.Engine) -> None:
    with published.connect() as connection:
        found = read_published(connection)
    with published.connect() as connection:
        assert found.rows == read_rows(connection)
        assert found.generation == read_generations(connection)[0].generation

        def sorted_tables(tables: tuple[TableMetadata, ...]) -> list[TableMetadata]:
            return sorted(tables, key=lambda table: table.name)

        assert sorted_tables(found.metadata.tables) == sorted_tables(read_metadata(connection).tables)


def test_the_metadata_of_rows_is_that_of_the_same_rows_by_name(published: sa.Engine) -> None:
    with published.connect() as connection:
        found = read_published(connection)
        names: dict[str, dict[str, list[str]]] = {}
        for schema, table, column in connection.execute(
            sa.text(
                "SELECT table_schema, table_name, column_name FROM information_schema.columns "
                "ORDER BY ordinal_position"
            )
        ):
            names.setdefault(schema, {}).setdefault(table, []).append(column)
    assert ColumnRow._fields == COLUMN_FIELDS
    assert found.metadata == metadata_from_rows(
        [row._asdict() for row in found.rows.tables],
        [row._asdict() for row in reversed(found.rows.columns)],
        database=names,
    )
    assert len(found.rows.columns) > 50


def test_rows_are_in_the_order_in_which_the_database_would_list_them(published: sa.Engine) -> None:
    def listed(connection: sa.Connection, query: str) -> list[str]:
        return list(connection.scalars(sa.text(query)))

    with published.begin() as connection:
        for number, name in ((None, "b"), (None, "a"), (7, "Z"), (7, "c"), (0, "z")):
            connection.execute(
                sa.text(
                    "INSERT INTO tap_schema.columns (table_name, column_name, datatype, indexed, principal, "
                    "std, column_index) VALUES ('small.star', :name, 'int', 0, 0, 0, :number)"
                ),
                {"name": f"added_{name}", "number": number},
            )
        connection.execute(sa.text("UPDATE tap_schema.tables SET table_index = NULL WHERE table_index > 2"))
        rows = read_rows(connection)
        assert [row.table_name + row.column_name for row in rows.columns] == listed(
            connection,
            "SELECT table_name || column_name FROM tap_schema.columns "
            'ORDER BY table_name COLLATE "C", column_index, column_name COLLATE "C"',
        )
        assert [row.table_name for row in rows.tables] == listed(
            connection,
            "SELECT table_name FROM tap_schema.tables "
            'ORDER BY schema_name COLLATE "C", table_index, table_name COLLATE "C"',
        )


@pytest.mark.parametrize("isolation", [None, "REPEATABLE READ", "SERIALIZABLE"])
def test_a_publication_between_the_reads_is_seen_as_a_whole_or_not_at_all(
    published: sa.Engine, forget_between: Callable[[], None], isolation: str | None
) -> None:
    with published.connect() as connection:
        before = read_published(connection)
    with published.connect() as connection:
        if isolation is not None:
            connection = connection.execution_options(isolation_level=isolation)  # noqa: PLW2901
            connection.exec_driver_sql("SELECT 1")
        forget_between()
        found = read_published(connection)
    assert found == before
    tables, with_columns, in_metadata = names(found)
    assert "small.star" in tables
    assert tables == with_columns == in_metadata
    with published.connect() as connection:
        after = read_published(connection)
    assert after.generation == before.generation + 1
    assert "small.star" not in names(after)[0]


def test_a_query_finds_the_columns_of_the_tables_that_it_finds_whoever_publishes(
    published: sa.Engine,
) -> None:
    waiting = [True]
    with published.connect() as connection:

        @sa.event.listens_for(connection, "before_cursor_execute")
        def publish_between(*arguments: object) -> None:
            reads_columns = "tap_schema.columns" in str(arguments[2]) and "count(*)" not in str(arguments[2])
            if waiting and reads_columns:
                waiting.clear()
                with published.begin() as other:
                    publish(other, assemble(other, forget=["small"]).rows)

        found = read_metadata(connection)
    assert not waiting
    assert all(table.columns for table in found.tables)


def test_two_reads_without_a_snapshot_see_half_of_it(
    published: sa.Engine, forget_between: Callable[[], None]
) -> None:
    forget_between()
    with published.connect() as connection:
        rows = read_rows(connection)
    assert "small.star" in {row.table_name for row in rows.tables}
    assert "small.star" not in {row.table_name for row in rows.columns}


def test_a_transaction_without_one_snapshot_is_refused(published: sa.Engine) -> None:
    with published.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(TapSchemaSnapshotError, match="READ COMMITTED"):
            read_published(connection)
