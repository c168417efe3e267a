"""A query for an engine that reads files: `to_lake`, and the trees of SELECT, FROM and set operations."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from adql import tree
from adql.backends.lake.engine import (
    LakeEmitter,
    LakeRelation,
    LakeView,
    LakeWriters,
    SqlNode,
    cast,
    fixed_length,
    integer,
    named,
    relation_key,
)
from adql.backends.lake.values import CONDITION_WRITERS, VALUE_WRITERS
from adql.backends.postgres.query import output_column
from adql.check.query import validate
from adql.errors import AdqlLimitError
from adql.limits import DEFAULT_LIMITS, Limits
from adql.metadata import ColumnMetadata, ColumnOrigin, Metadata, OutputColumn, TableOrigin
from adql.tree import type_of
from adql.walk import walk

_SETS: dict[str, type[exp.SetOperation]] = {
    "UNION": exp.Union,
    "EXCEPT": exp.Except,
    "INTERSECT": exp.Intersect,
}
_SIDES = {"LEFT": "LEFT", "RIGHT": "RIGHT", "FULL": "FULL"}
_FLOATING = ("float", "double")
_GEOMETRIES = frozenset(("point", "circle", "polygon"))
_Operand = tree.Select | tree.SetOperation | tree.Query
_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LakeQuery:
    """One SELECT for an engine that reads files.

    Parameters
    ----------
    sql
        The statement; constants are in it.
    columns
        The columns of the result, as a VOTable describes them.
    checked
        The query that it came from.
    """

    sql: str
    columns: tuple[OutputColumn, ...]
    checked: tree.Query = field(compare=False, repr=False)


def to_lake(
    query: tree.Query, metadata: Metadata, store: LakeView, limits: Limits = DEFAULT_LIMITS
) -> LakeQuery:
    """Return a query as one SELECT for the engine of a lake; its rows are those of PostgreSQL, bit for bit.

    Where PostgreSQL stops since a double is too large, an engine can go on with infinity.

    Parameters
    ----------
    query
        What `adql.parse` returned, or a rewriter made of it. It is checked here.
    metadata
        What the service publishes.
    store
        The lake and its engine.
    limits
        ``max_rows`` limits the result; one more row is requested, to detect an overflow.

    Raises
    ------
    AdqlNameError
        A table, column or function is not published, or a name is ambiguous.
    AdqlTypeError
        A value has a type, unit or range that cannot stand where it stands.
    AdqlLimitError
        The query is too large.
    AdqlEngineError
        The engine cannot answer something in it as PostgreSQL does.
    """
    checked = validate(query, metadata, limits=limits)
    emitter = LakeEmitter(text=query.text, store=store, writers=_WRITERS)
    try:
        _Plan(emitter, checked).make()
        sql = store.engine.sql(_whole(emitter, checked, limits.max_rows))
    except RecursionError:
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    return LakeQuery(sql, tuple(map(output_column, checked.columns)), checked)


# -- which vectors subqueries carry, and which copy of a table is read
# ----------------------------------------------------------------------------------------------------------


class _Plan:
    """What is known of a query before it is written: positions in subqueries, keys of objects."""

    def __init__(self, emitter: LakeEmitter, query: tree.Query) -> None:
        self.emitter = emitter
        self.query = query
        self.queries: dict[object, tree.Query] = {
            f"with_{number}": common.query for number, common in enumerate(query.common_tables, 1)
        }

    def make(self) -> None:
        """Note in the emitter what the writers need."""
        nodes = list(walk(self.query))
        for node in nodes:
            if isinstance(node, tree.DerivedTable):
                self.queries[id(node.origin)] = node.query
        positions = set()
        for node in nodes:
            if isinstance(node, tree.Function) and node.name == "POINT":
                pair = _same_relation(node.arguments[0], node.arguments[1])
                if pair is not None and self._carries(*pair):
                    positions.add(self._base(pair[0]))
        for node in nodes:
            for key in _keys(node):
                base = self._base(key)
                if base is not None and base[1] == self.emitter.store.object_column:
                    self.emitter.by_object.add(base[0])
        # A search by position reads what is in the order of positions.
        self.emitter.by_object -= {base[0] for base in positions if base is not None}

    def _carries(self, longitude: ColumnOrigin, latitude: ColumnOrigin) -> bool:
        """Return whether a relation has pixel and vector of two columns, or can be made to carry them."""
        relation, emitter = longitude.relation, self.emitter
        pair = (longitude.column.sql_name, latitude.column.sql_name)
        key = (relation_key(relation), *pair)
        if key in emitter.vectors:
            return True
        if relation.table is not None:
            found = lake_relation(emitter.store, relation)
            if found is None or found.position != pair:
                return False
            emitter.vectors[key] = (emitter.store.pixel, *emitter.store.vector)
            return True
        body = self.queries[relation_key(relation)].body
        if not isinstance(body, tree.Select) or body.quantifier or body.group_by:
            return False
        inner = _same_relation(*(_item(body, name) for name in pair))
        if inner is None or not self._carries(*inner):
            return False
        carried = emitter.carried.setdefault(relation_key(relation), [])
        names = tuple(f"p{len(carried)}_{part}" for part in range(4))
        carried.append((inner, names))
        emitter.vectors[key] = names
        return True

    def _base(self, origin: ColumnOrigin) -> tuple[int, str] | None:
        """Return the table, by its identity, and the column in it whose values a column has."""
        while origin.relation.table is None:
            query = self.queries[relation_key(origin.relation)]
            item = _item(query.body, origin.column.sql_name) if isinstance(query.body, tree.Select) else None
            if not isinstance(item, tree.Column) or item.origin is None:
                return None
            origin = item.origin
        return id(origin.relation), origin.column.sql_name


def _item(body: tree.Select, sql_name: str) -> tree.Expression | None:
    """Return the value of an output column."""
    for item, column in zip(body.items, body.columns, strict=True):
        if column.sql_name == sql_name and isinstance(item, tree.Output):
            return item.expression
    return None


def _same_relation(
    longitude: tree.Expression | None, latitude: tree.Expression | None
) -> tuple[ColumnOrigin, ColumnOrigin] | None:
    """Return the origins of two columns of one relation; `None` for all else."""
    if not isinstance(longitude, tree.Column) or not isinstance(latitude, tree.Column):
        return None
    one, other = longitude.origin, latitude.origin
    if one is None or other is None or one.others or other.others or one.relation is not other.relation:
        return None
    return one, other


def _keys(node: tree.Node) -> list[ColumnOrigin]:
    """Return the columns that a condition wants equal to something."""
    sides: tuple[tree.Expression, ...] = ()
    if isinstance(node, tree.Comparison) and node.operator == "=":
        sides = (node.left, node.right)
    elif isinstance(node, tree.In) and not node.negated:
        sides = (node.operand,)
    return [of.origin for of in sides if isinstance(of, tree.Column) and of.origin is not None]


def lake_relation(store: LakeView, relation: TableOrigin) -> LakeRelation | None:
    """Return what a table of a query is in a lake; `None` if it is not there."""
    table = relation.table
    return None if table is None else store.relations.get((table.sql_schema or "", table.sql_name))


# -- SELECT, FROM, and set operations
# ----------------------------------------------------------------------------------------------------------


def _whole(emitter: LakeEmitter, query: tree.Query, max_rows: int | None) -> exp.Query:
    """Return the main query, with its common table expressions."""
    tables = []
    for number, common in enumerate(query.common_tables, 1):
        name = f"with_{number}"
        tables.append((name, _query(emitter, common.query, name)))
        _name_columns(emitter, name, common.query)
    whole = _query(emitter, query, None, max_rows=max_rows)
    for name, made in tables:
        whole = whole.with_(exp.to_identifier(name, quoted=True), as_=made, copy=False)
    return whole


def _name_columns(emitter: LakeEmitter, key: object, query: tree.Query) -> None:
    emitter.names[key] = {column.sql_name: f"c{place}" for place, column in enumerate(query.columns, 1)}


def _subquery(emitter: LakeEmitter, query: tree.Query) -> exp.Query:
    return _query(emitter, query, None)


def _query(emitter: LakeEmitter, query: tree.Query, key: object, *, max_rows: int | None = None) -> exp.Query:
    body, limit = query.body, None
    if isinstance(body, tree.Select):
        made: exp.Query = _select(emitter, body, key)
        limit = body.top
    elif isinstance(body, tree.Query):
        inner = exp.Subquery(this=_query(emitter, body, None), alias=_alias("ordered"))
        made = exp.Select(expressions=[exp.Star()]).from_(inner, copy=False)
    else:
        made = _set(emitter, body, query)
    if max_rows is not None:
        limit = max_rows + 1 if limit is None else min(limit, max_rows + 1)
    if query.order_by:
        is_plain = isinstance(body, tree.Select) and not body.quantifier
        if not is_plain:
            made = exp.Select(expressions=[exp.Star()]).from_(
                exp.Subquery(this=made, alias=_alias("ordered")), copy=False
            )
        terms = [_ordering(emitter, of, query, is_plain=is_plain) for of in query.order_by]
        made.set("order", exp.Order(expressions=terms))
    if limit is not None:
        made.set("limit", exp.Limit(expression=integer(limit)))
    if query.offset:
        made.set("offset", exp.Offset(expression=integer(query.offset)))
    return made


def _ordering(emitter: LakeEmitter, term: tree.Ordering, query: tree.Query, *, is_plain: bool) -> exp.Ordered:
    """Return a term of ORDER BY; NULL is the largest value, as in PostgreSQL."""
    node, body = term.expression, query.body
    place = int(node.text) if isinstance(node, tree.Number) else 0
    if not place and not is_plain:
        # SELECT DISTINCT is ordered only by what it selects.
        assert isinstance(body, tree.Select)  # noqa: S101  the query has been checked
        shown = [item.expression for item in body.items if isinstance(item, tree.Output)]
        place = shown.index(node) + 1
    if not place:
        known, value = type_of(node), emitter.value(node)
    elif not is_plain:
        known, value = query.columns[place - 1].type, named("ordered", f"c{place}")
    else:
        assert isinstance(body, tree.Select)  # noqa: S101  it is plain
        item = body.items[place - 1]
        assert isinstance(item, tree.Output)  # noqa: S101  the query has been checked
        known = query.columns[place - 1].type
        value = emitter.value(item.expression) if known.datatype in _FLOATING else integer(place)
    if known.family in ("string", "region") and not emitter.store.orders_text:
        raise emitter.refused("text by its order in another collation", term)
    if known.datatype in _FLOATING and known.family == "numeric":
        value = emitter.store.engine.sort_key(value)
    return exp.Ordered(this=value, desc=term.descending, nulls_first=term.descending)


def _set(emitter: LakeEmitter, node: tree.SetOperation, query: tree.Query) -> exp.Query:
    arms = [_columns(of) for of in (node.first, *(step.query for step in node.steps))]
    for types in zip(*arms, strict=True):
        if len({fixed_length(of.type) for of in types if of.type.family != "null"}) > 1:
            raise emitter.refused("text of several lengths in one column", node)
    made = _operand(emitter, node.first, query)
    for step in node.steps:
        made = _SETS[step.operator](
            this=made, expression=_operand(emitter, step.query, query), distinct=not step.keep_duplicates
        )
    return made


def _columns(node: _Operand) -> tuple[ColumnMetadata, ...]:
    return _columns(node.first) if isinstance(node, tree.SetOperation) else node.columns


def _operand(emitter: LakeEmitter, node: _Operand, query: tree.Query) -> exp.Query:
    """Return one side of a set operation, in the types of the columns of all."""
    if isinstance(node, tree.Select):
        made = _select(emitter, node, None, like=query)
        return made if node.top is None else exp.Subquery(this=made.limit(node.top, copy=False))
    if isinstance(node, tree.SetOperation):
        return exp.Subquery(this=_set(emitter, node, query))
    return exp.Subquery(this=_query(emitter, node, None))


def _select(
    emitter: LakeEmitter, node: tree.Select, key: object, like: tree.Query | None = None
) -> exp.Select:
    made = exp.Select()
    first, *others = node.tables
    _from(emitter, made, first)
    for table in others:
        # A comma binds less than JOIN.
        source, joins = _joined(emitter, table)
        made.append("joins", exp.Join(this=source))
        for one in joins:
            made.append("joins", one)
    made.set("expressions", _items(emitter, node, key, like))
    if node.quantifier == "DISTINCT":
        made.set("distinct", exp.Distinct())
    if node.where is not None:
        made.set("where", exp.Where(this=emitter.condition(node.where)))
    if node.group_by:
        made.set("group", exp.Group(expressions=list(map(emitter.value, node.group_by))))
    if node.having is not None:
        made.set("having", exp.Having(this=emitter.condition(node.having)))
    return made


def _items(
    emitter: LakeEmitter, node: tree.Select, key: object, like: tree.Query | None
) -> list[exp.Expression]:
    """Return the select list: values by numbers, behind them the vectors that the query carries."""
    found: list[exp.Expression] = []
    for place, item in enumerate(node.items):
        assert isinstance(item, tree.Output)  # noqa: S101  the query has been checked
        if type_of(item.expression).family in _GEOMETRIES:
            raise emitter.refused("a geometry as a value", item.expression)
        if like is None:
            value = emitter.value(item.expression)
        else:
            value = emitter.as_type(item.expression, like.columns[place].type)
        if type_of(item.expression).family == "time" and isinstance(item.expression, tree.Column):
            # In UTC, with a time zone or without.
            value = cast(value, "TIMESTAMP")
        found.append(_as(value, f"c{place + 1}"))
    for (longitude, latitude), names in emitter.carried.get(key, ()) if key is not None else ():
        relation = longitude.relation
        of = (relation_key(relation), longitude.column.sql_name, latitude.column.sql_name)
        alias = emitter.aliases[id(relation)]
        found += [
            _as(named(alias, source), name) for source, name in zip(emitter.vectors[of], names, strict=True)
        ]
    return found


def _as(value: SqlNode, name: str) -> exp.Expression:
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def _alias(name: str) -> exp.TableAlias:
    return exp.TableAlias(this=exp.to_identifier(name, quoted=True))


def _from(emitter: LakeEmitter, made: exp.Select, node: tree.TableReference) -> None:
    source, joins = _joined(emitter, node)
    made.from_(source, copy=False)
    for one in joins:
        made.append("joins", one)


def _joined(emitter: LakeEmitter, node: tree.TableReference) -> tuple[exp.Expression, list[exp.Join]]:
    """Return the first table of a joined one, and its joins."""
    if not isinstance(node, tree.JoinedTable):
        return _table(emitter, node), []
    return _nested(emitter, node.first), [_join(emitter, join) for join in node.joins]


def _nested(emitter: LakeEmitter, node: tree.TableReference) -> exp.Expression:
    if not isinstance(node, tree.JoinedTable):
        return _table(emitter, node)
    source, joins = _joined(emitter, node)
    source.set("joins", joins)
    return exp.Subquery(this=source)


def _join(emitter: LakeEmitter, node: tree.Join) -> exp.Join:
    table = _nested(emitter, node.table)
    side = _SIDES.get(node.kind)
    if node.condition is not None:
        return exp.Join(this=table, side=side, on=emitter.condition(node.condition))
    if side is None:
        return exp.Join(this=table, kind="CROSS")
    return exp.Join(this=table, side=side, on=exp.Boolean(this=True))


def _table(emitter: LakeEmitter, node: tree.TableReference) -> exp.Expression:
    assert isinstance(node, (tree.Table, tree.DerivedTable))  # noqa: S101  there is no fourth kind
    origin = node.origin
    assert origin is not None  # noqa: S101  the query has been checked
    if isinstance(node, tree.DerivedTable):
        inner = _query(emitter, node.query, relation_key(origin))
        _name_columns(emitter, relation_key(origin), node.query)
    # An engine may not tell names apart by case: relations are numbered.
    name = emitter.aliases[id(origin)] = f"t{len(emitter.aliases) + 1}"
    if isinstance(node, tree.DerivedTable):
        return exp.Subquery(this=inner, alias=_alias(name))
    if origin.table is None:
        return exp.Table(this=exp.to_identifier(origin.sql_name, quoted=True), alias=_alias(name))
    found = lake_relation(emitter.store, origin)
    if found is None:
        raise emitter.refused("a table that is not in the lake", node, "name a table with versions")
    names = found.by_object if found.by_object and id(origin) in emitter.by_object else found.names
    *schema, table = (exp.to_identifier(of, quoted=True) for of in names)
    return exp.Table(this=table, db=schema[-1] if schema else None, alias=_alias(name))


_WRITERS = LakeWriters(VALUE_WRITERS, CONDITION_WRITERS, _subquery)
