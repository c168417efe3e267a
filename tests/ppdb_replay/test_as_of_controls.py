"""Controls: rewriting that looks right, and is caught by the comparison with copies of the tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adql import Column, Identifier, Node, Query, Table, parse, transform
from adql.tree import And, Comparison, Condition, Number, Select
from ppdb_replay.rewriting.as_of import stable
from ppdb_replay.rewriting.relations import Surroundings
from ppdb_replay.rewriting.version_catalog import VersionCatalog
from tests.ppdb_replay.changing_ppdb import Archive
from tests.ppdb_replay.query_forms import FORMS

# Without subqueries these show the columns that versioning adds, or name them.
SYSTEM_COLUMNS_SHOW = {
    "NATURAL JOIN",
    "all columns",
    "all columns of one table",
    "common table expression that shadows a table",
    "natural and versions",
    "versions by their schema",
    "versions with their end",
    "versions, all columns",
}


def misplaced(query: Query, snapshot_id: int, catalog: VersionCatalog, *, outermost: bool) -> Query:
    """Return a query whose constraints stand in WHERE, not in subqueries: of each SELECT, or of the first."""
    named = stable(query, snapshot_id, catalog)

    def history(node: Node) -> Node:
        if isinstance(node, Table) and node.alias is not None and catalog.find(node.name) is not None:
            return replace(node, name=(Identifier("ppdb_history"), Identifier(node.name[-1].text)))
        return node

    def constrained(node: Node) -> Node:
        if not isinstance(node, Select):
            return node
        aliases = [
            of.alias for of in Surroundings(catalog).relations(node.tables) if "ppdb_history" in of.name
        ]
        return replace(node, where=_all(node.where, aliases, snapshot_id))

    moved = transform(named, history)
    if not outermost:
        return transform(moved, constrained)
    body = moved.body
    while not isinstance(body, Select):
        body = body.body if isinstance(body, Query) else body.first
    return transform(moved, lambda node: constrained(node) if node is body else node)


def _all(where: Condition | None, aliases: list[Identifier | None], snapshot_id: int) -> Condition | None:
    bounds: list[Condition] = [
        Comparison(Column(Identifier(name), (alias,)), operator, Number(str(snapshot_id)))
        for alias in aliases
        if alias is not None
        for name, operator in (("snap_from", "<="), ("snap_to", ">"))
    ]
    return And((*([] if where is None else [where]), *bounds)) if bounds else where


@pytest.mark.parametrize(
    ("outermost", "caught"),
    [
        (False, {"LEFT JOIN", "LEFT JOIN IS NULL", "FULL JOIN"}),
        (
            True,
            {"IN", "EXISTS, correlated", "common table expression", "UNION", "EXCEPT", "INTERSECT"}
            | {"NOT EXISTS", "NOT IN", "LEFT JOIN", "subquery in FROM"},
        ),
    ],
)
def test_the_comparison_catches_constraints_that_stand_elsewhere(
    *, outermost: bool, caught: set[str], ppdb_archive: Archive
) -> None:
    wrong = set()
    for form, text in FORMS.items():
        if form in SYSTEM_COLUMNS_SHOW:
            continue
        query = parse(text)
        for copy in ppdb_archive.copies[:-1]:
            other = misplaced(query, copy.snapshot.snapshot_id, ppdb_archive.catalog, outermost=outermost)
            if ppdb_archive.run(other) != ppdb_archive.then(query, copy):
                wrong.add(form)
    assert wrong >= caught
