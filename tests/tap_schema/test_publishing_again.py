"""What is published already stays as it is when the same files, some of them or none are given again."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from adql import Server, parse, to_postgres
from tap_query.metadata import read_metadata
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tap_schema.stored import read_rows

Write = Callable[..., str]

TABLES = """
CREATE TABLE small.alone (x int);
CREATE TABLE small.beside (x int);
GRANT SELECT ON ALL TABLES IN SCHEMA small TO tapdb_reader;
"""


def changes(engine: sa.Engine, *files: str) -> list[str]:
    """Publish, and return what changed."""
    with engine.begin() as connection:
        return [str(one) for one in publish(connection, assemble(connection, files).rows).changes]


def tables(engine: sa.Engine) -> list[str]:
    """Return the published tables of the schema in their order."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT table_name FROM tap_schema.tables WHERE schema_name = 'small' ORDER BY table_index"
        ).scalars()
        return [name.removeprefix("small.") for name in rows]


def described(*names: str, index: str = "") -> str:
    """Return a Felis file that describes tables."""
    entry = f"- name: {{}}\n{index}  description: A table\n  columns:\n  - {{{{name: id, datatype: int}}}}\n"
    return "name: small\ntables:\n" + "".join(map(entry.format, names))


def test_tables_that_no_file_describes_stay_behind_those_that_one_does(
    small_database: sa.Engine, felis_file: Write
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(TABLES)
    file = felis_file(described("spectrum"))
    assert changes(small_database, file)
    order = tables(small_database)
    assert order[0] == "spectrum"
    assert changes(small_database, file) == []
    assert changes(small_database) == []
    assert tables(small_database) == order


def test_two_files_of_one_schema_are_published_in_turn(small_database: sa.Engine, felis_file: Write) -> None:
    one = felis_file(described("star", "bright"), name="one.yaml")
    two = felis_file(described("spectrum"), name="two.yaml")
    assert changes(small_database, one)
    assert changes(small_database, two)
    for file in (one, two, one, two):
        assert changes(small_database, file) == []
    assert changes(small_database, one, two) == []


def test_a_table_whose_place_is_given_takes_it_from_one_that_was_there(
    small_database: sa.Engine, felis_file: Write
) -> None:
    first = felis_file(described("star", index="  tap:table_index: 10\n"), name="one.yaml")
    second = felis_file(described("spectrum", index="  tap:table_index: 10\n"), name="two.yaml")
    assert changes(small_database, first)
    assert changes(small_database, second)
    assert tables(small_database)[0] == "spectrum"
    assert changes(small_database, second) == []
    assert changes(small_database) == []


def test_another_order_in_the_file_is_another_order_of_the_tables(
    small_database: sa.Engine, felis_file: Write
) -> None:
    changes(small_database, felis_file(described("star", "spectrum", "bright")))
    assert tables(small_database) == ["star", "spectrum", "bright"]
    turned = felis_file(described("bright", "spectrum", "star"))
    assert changes(small_database, turned)
    assert tables(small_database) == ["bright", "spectrum", "star"]
    assert changes(small_database, turned) == []


CASES = """
CREATE TABLE small."Star" ("Id" int PRIMARY KEY, "ID" int, id int);
CREATE TABLE small.fleck (id int CONSTRAINT of_star REFERENCES small."Star");
COMMENT ON TABLE small."Star" IS 'The large one';
COMMENT ON COLUMN small."Star"."ID" IS 'The second';
GRANT SELECT ON ALL TABLES IN SCHEMA small TO tapdb_reader;
"""


def test_names_that_differ_in_case_alone_keep_what_is_said_of_each(
    small_database: sa.Engine, felis_file: Write
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(CASES)
    file = felis_file(
        "name: small\ntables:\n- name: star\n  description: The small one\n  columns:\n"
        "  - {name: id, datatype: long, description: Number}\n"
        "- name: Star\n  columns:\n  - {name: Id, datatype: int, description: The first}\n"
        "  - {name: id, datatype: int, description: The third}\n"
    )
    assert changes(small_database, file)
    assert changes(small_database, file) == []
    assert changes(small_database) == []
    with small_database.connect() as connection:
        rows = read_rows(connection)
        metadata = read_metadata(connection)
        for table in ('small."Star"', 'small."star"'):
            query = to_postgres(parse(f"SELECT * FROM {table}"), metadata, server=Server(inline=True))  # noqa: S608
            assert connection.exec_driver_sql(query.sql).all() == []
    assert {row.table_name: row.description for row in rows.tables if row.table_name.endswith('"')} == {
        'small."Star"': "The large one",
        'small."star"': "The small one",
    }
    assert {row.column_name: row.description for row in rows.columns if row.table_name == 'small."Star"'} == {
        '"Id"': "The first",
        '"ID"': "The second",
        '"id"': "The third",
    }
    (key,) = (row for row in rows.keys if row.from_table == "small.fleck")
    assert key.target_table == 'small."Star"'
