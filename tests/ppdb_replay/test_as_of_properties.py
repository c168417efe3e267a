"""What holds of `as_of` for every query: constrained everywhere, printable, the same when it is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queryparser.adql import ADQLQueryTranslator

from adql import Column, Node, Query, Table, parse, walk
from adql.tree import And, Cast, Function, Ordering, Select, SetOperation
from ppdb_replay import Snapshot
from ppdb_replay.rewriting.as_of import as_of, stable, stable_and_complete
from ppdb_replay.rewriting.rule_order import has_complete_order
from tests.ppdb_replay.changing_ppdb import Archive
from tests.ppdb_replay.generated_queries import generated_query
from tests.ppdb_replay.query_forms import FORMS
from tests.ppdb_replay.small_catalog import CATALOG

QUERIES = st.builds(generated_query, st.integers(min_value=0, max_value=10**9))
SNAPSHOT = 41


def common_names(query: Query) -> set[str]:
    return {table.name.text for table in query.common_tables}


def is_bounded(select: Select) -> bool:
    conditions = select.where.operands if isinstance(select.where, And) else (select.where,)
    return f"snap_from <= {SNAPSHOT}" in map(str, conditions)


@settings(max_examples=300)
@given(text=QUERIES)
def test_every_versioned_table_is_constrained(text: str, ppdb_archive: Archive) -> None:
    query = as_of(parse(text), SNAPSHOT, ppdb_archive.catalog)
    read = [node for node in walk(query) if isinstance(node, Table)]
    natural = [node for node in read if str(node.name[0].text) != "ppdb_history"]
    assert {node.name[-1].text for node in natural} <= common_names(query)
    assert all(len(node.name) == 1 for node in natural)
    bounded = [
        table
        for node in walk(query)
        if isinstance(node, Select) and is_bounded(node)
        for table in node.tables
        if isinstance(table, Table)
    ]
    assert len(bounded) == len(read) - len(natural)


@settings(max_examples=300)
@given(text=QUERIES)
def test_the_text_is_read_as_the_query_that_it_was_printed_from(text: str, ppdb_archive: Archive) -> None:
    query = as_of(parse(text), SNAPSHOT, ppdb_archive.catalog)
    assert parse(str(query)) == query


@settings(max_examples=300)
@given(text=QUERIES, later=st.integers(min_value=0, max_value=10))
def test_as_of_a_later_snapshot_changes_nothing_more(text: str, later: int, ppdb_archive: Archive) -> None:
    once = as_of(parse(text), SNAPSHOT, ppdb_archive.catalog)
    again = as_of(once, SNAPSHOT + later, ppdb_archive.catalog)
    # ORDER BY may get more terms where it is not known that a subquery has a key.
    assert str(without_order(again)) == str(without_order(once))


@settings(max_examples=100)
@given(text=QUERIES)
def test_aliases_make_no_order_complete_and_none_open(text: str, ppdb_archive: Archive) -> None:
    query, snapshot, catalog = parse(text), Snapshot(SNAPSHOT, 61000.5), ppdb_archive.catalog
    expected = (stable(query, snapshot, catalog), has_complete_order(query, catalog, whole_result=True))
    assert stable_and_complete(query, snapshot, catalog) == expected


def without_order(node: Node) -> str:
    return str(node).partition(" ORDER BY ")[0]


def beyond_adql_2_0(query: Query) -> set[str]:
    """Return what of a query ADQL 2.0 has not: its section 2, as REC ADQL 2.1 tells the changes."""
    found = {"WITH"} if query.common_tables else set()
    for node in walk(query):
        if isinstance(node, SetOperation):
            found.add("UNION")
        elif isinstance(node, Query) and node.offset is not None:
            found.add("OFFSET")
        elif isinstance(node, Cast) or (isinstance(node, Function) and node.name in ("COALESCE", "IN_UNIT")):
            found.add("functions")
        elif isinstance(node, Ordering):
            term = node.expression
            plain = not isinstance(term, Column) or not term.table
            found |= set() if plain else {"ORDER BY t.c"}
        elif isinstance(node, Select) and any(not isinstance(term, Column) for term in node.group_by):
            found.add("GROUP BY expression")
    return found


@pytest.mark.parametrize("text", [*FORMS.values(), *map(generated_query, range(300))])
def test_the_text_needs_no_newer_adql_than_the_query(text: str, ppdb_archive: Archive) -> None:
    query = parse(text)
    added = beyond_adql_2_0(as_of(query, SNAPSHOT, ppdb_archive.catalog)) - beyond_adql_2_0(query)
    # Versions that show their end, and groups that show not what they are told apart by.
    allowed = {"UNION"} if "snap_to" in text or "*" in text else set()
    allowed |= {"ORDER BY t.c"} if "ppdb_history" in text or "GROUP BY" in text else set()
    assert added <= allowed


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (
            "SELECT f.*, o.ra+1 AS r FROM DiaSource f JOIN DiaObject o ON f.diaObjectId = o.diaObjectId",
            "diaSourceId, diaObjectId_2, validityStartMjdTai",
        ),
        (
            "SELECT * FROM DiaSource AS f JOIN DiaObject AS o ON f.diaObjectId = o.diaObjectId",
            "diaSourceId, 7, validityStartMjdTai",
        ),
        (
            "SELECT a.ra AS diaObjectId_2 FROM DiaObject AS a, DiaObject AS b",
            "diaObjectId_3, validityStartMjdTai_2, diaObjectId_4, validityStartMjdTai_3",
        ),
        ("SELECT ra + 1 AS diaObjectId FROM DiaObject", "diaObjectId_2, validityStartMjdTai"),
        ("SELECT * FROM DiaSource AS f JOIN DiaObject AS o USING (diaObjectId)", None),
    ],
)
def test_a_key_that_two_tables_have_is_carried_under_a_name_of_its_own(text: str, order: str | None) -> None:
    query = as_of(parse(text), SNAPSHOT, CATALOG)
    found = str(query).partition(" ORDER BY ")[2]
    assert order in {None, found}, found
    # What is said again stays as it is.
    assert str(as_of(query, SNAPSHOT, CATALOG)) == str(query)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT TOP 5 ra FROM ppdb.DiaObject WHERE ra > 10",
        "SELECT a.ra, b.visit FROM ppdb.DiaObject AS a JOIN ppdb.DiaSource AS b USING (diaObjectId)",
        "SELECT ra FROM ppdb.DiaObject WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 10, 5, 1))",
        "SELECT band, COUNT(*) AS n FROM ppdb.DiaSource GROUP BY band",
        "SELECT ra FROM ppdb.DiaObject WHERE diaObjectId IN (SELECT diaObjectId FROM ppdb.DiaSource)",
    ],
)
def test_another_parser_of_adql_2_0_reads_the_text(text: str) -> None:
    # aipescience's queryparser, whose grammar is that of ADQL 2.0.
    ADQLQueryTranslator(text).parse()
    # It wants ORDER BY of columns alone.
    query = as_of(parse(text), SNAPSHOT, CATALOG, whole_result="TOP" in text)
    ADQLQueryTranslator(str(query)).parse()
