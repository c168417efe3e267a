"""The check of FROM: tables, subqueries and joins become the relations of a scope (REC 2.2.1, 2.2.2)."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from adql import tree
from adql.check.checker import Checker
from adql.check.scope import CommonRelation, FromItem, JoinedItems, Relation, Scope, as_relation
from adql.check.values import bound
from adql.errors import AdqlLimitError, AdqlNameError, AdqlTypeError
from adql.metadata import ColumnMetadata, ColumnOrigin, TableMetadata, TableOrigin, columns_by_name
from adql.names import Identifier, identifier_of, same_name
from adql.types import common_family
from tapdb.errors import did_you_mean

_MOST_NAMED = 5


def relations_of(
    checker: Checker, node: tree.TableReference, scope: Scope
) -> tuple[tree.TableReference, FromItem]:
    """Return an item of FROM with its names resolved, and the relations that it is."""
    if isinstance(node, tree.Table):
        return _table(checker, node, scope)
    if isinstance(node, tree.DerivedTable):
        return _derived(checker, node, scope)
    assert isinstance(node, tree.JoinedTable)  # noqa: S101  there is no fourth kind
    return _joined(checker, node, scope)


def check_aliases(checker: Checker, scope: Scope, node: tree.Node) -> None:
    """Refuse a FROM in which two relations have the same name."""
    seen: list[Relation] = []
    for relation in scope.relations():
        for other in seen:
            if relation.alias is not None and other.alias is not None:
                same = same_name(relation.alias, other.alias)
            else:
                same = relation.alias is None and other.alias is None and relation.name == other.name
            if same:
                name = relation.origin.qualifier[-1].text
                raise checker.problem(
                    AdqlNameError,
                    f'two tables in FROM are called "{name}"',
                    "give them different aliases",
                    node=node,
                )
        seen.append(relation)


def _table(checker: Checker, node: tree.Table, scope: Scope) -> tuple[tree.Table, Relation]:
    checker.table_count += 1
    if checker.table_count > checker.limits.max_tables:
        raise checker.problem(
            AdqlLimitError, f"the query names more than {checker.limits.max_tables} tables", node=node
        )
    common = _common_table(checker, node.name[0]) if len(node.name) == 1 else None
    columns: Sequence[ColumnMetadata]
    written: tuple[Identifier, ...]
    qualifier: tuple[Identifier, ...]
    if common is not None:
        name: tuple[str, ...] = (common.name.text,)
        written, qualifier = node.name, (common.name,)
        columns, by_name = common.columns, common.by_name
        table, sql_name = None, common.sql_name
    else:
        table = _published(checker, node)
        name, columns, by_name = table.name, table.columns, table.columns_by_name
        written = qualifier = tuple(map(identifier_of, name))
        sql_name = ""
    if node.alias is not None:
        qualifier = (node.alias,)
    alias = scope.free_alias(name[-1] if node.alias is None else node.alias.text)
    origin = TableOrigin(alias, table, sql_name, qualifier, scope.level)
    checked = tree.Table(written, node.alias, at=node.at, origin=origin)
    return checked, Relation(origin, name, node.alias, columns, by_name)


def _published(checker: Checker, node: tree.Table) -> TableMetadata:
    found = checker.metadata.find_tables(node.name)
    if len(found) == 1:
        return found[0]
    shown = ".".join(name.text for name in node.name)[:64]
    if found:
        names = sorted(".".join(table.name) for table in found)
        raise checker.problem(
            AdqlNameError, f"table {shown} is ambiguous", "it can be " + " or ".join(names[:5]), node=node
        )
    hint = _hint_for_table(node.name, checker.metadata.tables)
    raise checker.problem(AdqlNameError, f"there is no table {shown}", hint, node=node)


def _hint_for_table(name: tuple[Identifier, ...], tables: Sequence[TableMetadata]) -> str:
    """Return the table that a name may mean, those of a schema, or how it is written."""
    last = name[-1].text
    known = {".".join(table.name).lower(): ".".join(table.name) for table in tables}
    if name[-1].quoted and last.lower() in known:
        return f"double quotes hold one part of a name: write {known[last.lower()]}"
    schema = last.lower() if len(name) == 1 else name[-2].text.lower()
    of_schema = [
        ".".join(table.name) for table in tables if [of.lower() for of in table.name[:-1]] == [schema]
    ]
    if len(name) == 1 and of_schema:
        listed = ", ".join(of_schema[:_MOST_NAMED]) + (", ..." if len(of_schema) > _MOST_NAMED else "")
        return f"it is a schema, with {listed}"
    if schema == "tap_upload" and len(name) > 1 and not of_schema:
        return "nothing was uploaded with the query"
    shown = ".".join(part.text for part in name)[:64]
    # Of its own schema before others, and with the whole name.
    by_last: dict[str, str] = {}
    for table in tables:
        by_last.setdefault(table.name[-1].lower(), ".".join(table.name))
    same = by_last.get(last.lower())
    if same is not None:
        return f'did you mean "{same}"?'
    like = did_you_mean(shown, of_schema) or did_you_mean(shown, known.values())
    if like:
        return like
    close = get_close_matches(last.lower()[:64], by_last, n=1)
    return f'did you mean "{by_last[close[0]]}"?' if close else ""


def _common_table(checker: Checker, name: Identifier) -> CommonRelation | None:
    # The last one first: a query may not name one twice, but a later one may shadow a published table.
    return next((common for common in reversed(checker.common) if same_name(common.name, name)), None)


def _derived(checker: Checker, node: tree.DerivedTable, scope: Scope) -> tuple[tree.DerivedTable, Relation]:
    # A subquery in FROM sees the enclosing queries, but not its neighbours: ADQL has no LATERAL.
    query, columns = checker.nested_query(node.query, scope.parent)
    columns = as_relation(columns)
    origin = TableOrigin(scope.free_alias(node.alias.text), qualifier=(node.alias,), level=scope.level)
    relation = Relation(origin, (node.alias.text,), node.alias, columns, columns_by_name(columns))
    return tree.DerivedTable(query, node.alias, at=node.at, origin=origin), relation


def _joined(checker: Checker, node: tree.JoinedTable, scope: Scope) -> tuple[tree.JoinedTable, JoinedItems]:
    first, left = relations_of(checker, node.first, scope)
    joined = JoinedItems(left)
    joins = []
    for join in node.joins:
        table, right = relations_of(checker, join.table, scope)
        merged: dict[str, ColumnOrigin] = {}
        condition = join.condition
        if join.natural or join.using:
            condition, merged = _merged(checker, join, joined, right)
        joined.add(right, merged)
        if join.condition is not None:
            condition = _on(checker, join.condition, joined, scope)
        joins.append(tree.Join(join.kind, table, condition=condition, at=join.at))
    return tree.JoinedTable(first, tuple(joins), at=node.at), joined


def _on(checker: Checker, condition: tree.Condition, joined: JoinedItems, scope: Scope) -> tree.Condition:
    # ON sees what is joined so far, not the other items of FROM (SQL-92 7.5).
    visible = Scope(scope.parent)
    visible.items = [joined]
    visible.aliases = scope.aliases
    visible.place = "ON"
    return checker.condition(condition, visible)


def _merged(
    checker: Checker, join: tree.Join, left: JoinedItems, right: FromItem
) -> tuple[tree.Condition | None, dict[str, ColumnOrigin]]:
    """Return the condition that USING or NATURAL stands for, and the columns that they merge.

    The SQL never says USING or NATURAL: published names can differ in case from those of the database,
    and hidden columns must not take part.
    """
    if join.natural:
        known = {origin.column.name.lower() for origin in right.columns()}
        shared = [origin.column.name.lower() for origin in left.columns()]
        names = [Identifier(name) for name in dict.fromkeys(shared) if name in known]
    else:
        names = list(join.using)
    checker.count_columns(4 * len(names), join)
    comparisons: list[tree.Condition] = []
    merged: dict[str, ColumnOrigin] = {}
    for name in names:
        one = _only(checker, left.find(name), name, "before", join)
        other = _only(checker, right.find(name), name, "after", join)
        if common_family(one.column.type, other.column.type) is None:
            raise checker.problem(
                AdqlTypeError,
                f'the columns "{name.text[:64]}" cannot be compared',
                "write the condition after ON",
                node=join,
            )
        comparisons.append(tree.Comparison(bound(one, join.at), "=", bound(other, join.at), at=join.at))
        merged[name.text.lower()] = _taken(one, other, join.kind)
    if not comparisons:
        return None, merged
    return (comparisons[0] if len(comparisons) == 1 else tree.And(tuple(comparisons), at=join.at)), merged


def _taken(left: ColumnOrigin, right: ColumnOrigin, kind: str) -> ColumnOrigin:
    if kind == "FULL":
        return replace(left, others=(*left.others, replace(right, others=()), *right.others))
    return right if kind == "RIGHT" else left


def _only(
    checker: Checker, found: list[ColumnOrigin], name: Identifier, where: str, node: tree.Node
) -> ColumnOrigin:
    if len(found) != 1:
        problem = "is ambiguous" if found else "is missing"
        raise checker.problem(
            AdqlNameError, f'the column "{name.text[:64]}" {problem} {where} JOIN', node=node
        )
    return found[0]
