"""What programs that change queries stand on: changed trees, tables of old versions, sums that come again."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from adql import (
    AdqlNameError,
    Column,
    Identifier,
    Metadata,
    Node,
    Server,
    TableMetadata,
    metadata_from_rows,
    parse,
    replace_children,
    to_postgres,
    validate,
)

Connection = psycopg.Connection[Any]


def published(*names: str) -> Metadata:
    columns = [{"table_name": name, "column_name": "flux", "datatype": "double"} for name in names]
    return metadata_from_rows([{"table_name": name} for name in names], columns)


def test_children_are_replaced_and_what_lies_deeper_is_left_to_the_caller() -> None:
    def shout(node: Node) -> Node:
        if isinstance(node, Column):
            return replace(node, name=Identifier(node.name.text.upper()))
        return replace_children(node, shout)

    query = parse("SELECT a FROM t WHERE b IN (SELECT c FROM u)")
    assert str(shout(query)) == "SELECT A FROM t WHERE B IN (SELECT C FROM u)"
    assert replace_children(query, lambda node: node) is query


def test_a_table_that_wants_its_whole_name_leaves_the_short_name_to_another_one() -> None:
    both = published("recent.t", "older.t")
    with pytest.raises(AdqlNameError, match="ambiguous"):
        validate(parse("SELECT flux FROM t"), both)

    def hidden(table: TableMetadata) -> TableMetadata:
        return replace(table, by_full_name=table.name[0] == "older")

    metadata = Metadata(tuple(map(hidden, both.tables)))
    assert '"recent"."t"' in to_postgres(parse("SELECT flux FROM t"), metadata).sql
    assert '"older"."t"' in to_postgres(parse("SELECT flux FROM older.t"), metadata).sql


def test_exact_sums_do_not_depend_on_the_order_of_rows(small_database: Connection) -> None:
    # The control: plain sums of the same numbers differ, in some of the groups at least. It goes without
    # DISTINCT, for which PostgreSQL 16 sorts the rows of all sums of the query.
    values = [random.Random(seed).lognormvariate(0, 5) for seed in range(20_000)]
    sums = 'SELECT "group", SUM(flux), AVG(flux), SUM(flux32){} FROM s.t GROUP BY "group"'
    texts = {False: sums.format(""), True: sums.format(", SUM(DISTINCT flux * 2)")}
    columns = [("group", "int"), ("flux", "double"), ("flux32", "float")]
    metadata = metadata_from_rows(
        [{"table_name": "s.t"}],
        [{"table_name": "s.t", "column_name": name, "datatype": type_} for name, type_ in columns],
    )
    found: dict[bool, list[list[tuple[Any, ...]]]] = {False: [], True: []}
    with small_database.transaction(force_rollback=True):
        small_database.execute("CREATE SCHEMA s")
        small_database.execute('CREATE TABLE s.t ("group" int, flux double precision, flux32 real)')
        for seed in range(3):
            numbered = list(enumerate(values))
            random.Random(seed).shuffle(numbered)
            small_database.execute("TRUNCATE s.t")
            with small_database.cursor().copy("COPY s.t FROM STDIN") as copy:
                for number, value in numbered:
                    copy.write_row((number % 100, value, value))
            for exact, results in found.items():
                compiled = to_postgres(parse(texts[exact]), metadata, server=Server(exact_sums=exact))
                rows = small_database.execute(compiled.sql, compiled.parameters).fetchall()
                results.append(sorted(rows))
    assert found[True][0] == found[True][1] == found[True][2]
    assert found[False][0] != found[False][1]
    for ordered, plain in zip(found[True][0], found[False][0], strict=True):
        assert ordered[: len(plain)] == pytest.approx(plain, rel=1e-12)


def test_sums_of_whole_numbers_need_no_order() -> None:
    metadata = metadata_from_rows(
        [{"table_name": "s.t"}], [{"table_name": "s.t", "column_name": "n", "datatype": "int"}]
    )
    text = "SELECT SUM(n), AVG(n), COUNT(n), MAX(n) FROM s.t"
    assert "ORDER" not in to_postgres(parse(text), metadata, server=Server(exact_sums=True)).sql
