"""Checks SQL with a parser that is not ours."""

from __future__ import annotations

import sqlglot
from sqlglot import expressions as exp

from adql import CompiledQuery, Metadata

__all__ = ["check_with_sqlglot"]

# What a translated query may call, by sqlglot's names.
_FUNCTIONS = """
abs acos asin atan atan2 ceil cos cot degrees exp floor ln log mod pi power pow radians rand round sin sqrt
tan trunc lower upper coalesce greatest least nullif
float8larger float8smaller avg count max min sum to_json btrim trim translate cast
time_to_str array exists any all case if spoint scircle area center radius long lat array_agg unnest
string_to_array
"""
# Operators that sqlglot has among its functions: `<@`, `&&`, `<->`, and those of conditions.
_OPERATORS = "and or array_contained_by array_overlaps distance"
_KNOWN = frozenset((_FUNCTIONS + _OPERATORS).split())


def check_with_sqlglot(compiled: CompiledQuery, metadata: Metadata) -> None:
    """Assert that the SQL is one SELECT over published tables that calls known functions alone."""
    statements = sqlglot.parse(compiled.sql, read="postgres")
    assert len(statements) == 1
    (tree,) = statements
    assert isinstance(tree, (exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery))
    published = {(table.sql_schema, table.sql_name) for table in metadata.tables}
    for table in tree.find_all(exp.Table):
        common = not table.db and table.name.startswith("with_")
        assert common or (table.db or None, table.name) in published, table
    for function in tree.find_all(exp.Func):
        name = function.name if isinstance(function, exp.Anonymous) else function.sql_names()[0]
        assert name.lower() in _KNOWN, name
    assert not list(tree.find_all(exp.Command, exp.Insert, exp.Delete, exp.Update, exp.Into, exp.Lock))
