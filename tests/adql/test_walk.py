"""Reading a tree from outside, and making a changed one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from adql import columns, functions, parse, printer, tables, transform, tree, walk
from adql.backends.postgres.values import CONDITION_WRITERS, VALUE_WRITERS
from adql.check.values import CONDITION_RULES, VALUE_RULES
from adql.names import Identifier
from tests.adql.trees import queries

TEXT = (
    "WITH near AS (SELECT objectId FROM dp1.Object WHERE coord_ra BETWEEN 1 AND 2) "
    "SELECT n.objectId, AVG(s.psfFlux) AS flux, gavo_f(1) "
    "FROM near AS n JOIN dp1.Source AS s USING (objectId) "
    "WHERE s.band IN (SELECT band FROM dp1.Visit WHERE visit = s.visit) GROUP BY n.objectId "
    "UNION SELECT objectId, 1, 2 FROM near ORDER BY flux"
)


def test_tables_are_those_that_are_read_and_no_common_table_expressions() -> None:
    assert [str(table) for table in tables(parse(TEXT))] == ["dp1.Object", "dp1.Source AS s", "dp1.Visit"]


def test_a_common_table_expression_hides_a_table_only_after_it_and_only_without_a_schema() -> None:
    text = "WITH a AS (SELECT x FROM a), b AS (SELECT x FROM a) SELECT x FROM b JOIN s.a USING (x)"
    assert [str(table) for table in tables(parse(text))] == ["a", "s.a"]


def test_columns_and_functions_are_found_everywhere() -> None:
    query = parse(TEXT)
    assert {str(column) for column in columns(query)} >= {
        "n.objectId",
        "s.psfFlux",
        "s.visit",
        "band",
        "flux",
    }
    assert [function.name for function in functions(query)] == ["AVG", "gavo_f"]


def test_a_rule_replaces_nodes_from_the_leaves_up_and_leaves_the_tree_alone() -> None:
    query = parse("SELECT ra FROM t WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 2, 3)) = 1")

    def qualify(node: tree.Node) -> tree.Node:
        if isinstance(node, tree.Column) and not node.table:
            return replace(node, table=(Identifier("o"),))
        if isinstance(node, tree.Table):
            return replace(node, alias=Identifier("o"))
        return node

    changed = transform(query, qualify)
    assert str(changed) == ("SELECT o.ra FROM t AS o WHERE CONTAINS(POINT(o.ra, o.dec), CIRCLE(1, 2, 3)) = 1")
    assert str(query).startswith("SELECT ra FROM t WHERE")


@given(queries())
@settings(max_examples=40)
def test_a_rule_that_changes_nothing_returns_the_tree_itself(query: tree.Query) -> None:
    assert transform(query, lambda node: node) is query


def test_nodes_cannot_be_changed_in_place() -> None:
    query = parse("SELECT x FROM t")
    with pytest.raises(AttributeError):
        query.offset = 5  # type: ignore[misc]


def test_equal_queries_are_equal_and_hash_alike_wherever_they_were_written() -> None:
    one, other = parse("SELECT x FROM t"), parse("select\n  x\nfrom t")
    assert one == other
    assert hash(one) == hash(other)
    assert one != parse('SELECT "x" FROM t')


def test_walking_yields_parents_before_children_in_the_order_of_the_query() -> None:
    kinds = [type(node).__name__ for node in walk(parse("SELECT a + 1 FROM t WHERE b = 2"))]
    assert kinds == [
        *("Query", "Select", "Output", "Arithmetic", "Column", "Number"),
        *("Table", "Comparison", "Column", "Number"),
    ]


def test_a_node_shows_what_it_holds() -> None:
    column = parse("SELECT o.ra FROM t AS o").body
    assert "Column(name=Identifier(text='ra', quoted=False)" in repr(column)


def sorts_of_node(base: type[tree.Node]) -> set[type]:
    """Return the sorts of node of a kind, without the kinds, which no query has."""
    kinds = (tree.Node, tree.Expression, tree.Condition, tree.TableReference)
    found = {one for one in vars(tree).values() if isinstance(one, type) and issubclass(one, base)}
    return found - set(kinds)


def test_each_sort_of_node_is_printed_and_each_value_and_condition_has_a_rule_and_a_writer() -> None:
    assert printer._PRINTERS.keys() == sorts_of_node(tree.Node)
    assert VALUE_RULES.keys() == VALUE_WRITERS.keys() == sorts_of_node(tree.Expression)
    assert CONDITION_RULES.keys() == CONDITION_WRITERS.keys() == sorts_of_node(tree.Condition)
