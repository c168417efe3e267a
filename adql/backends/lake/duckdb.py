"""DuckDB: what it spells and does otherwise than other engines."""

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.generators.duckdb import DuckDBGenerator

from adql.backends.lake.engine import BIGINT, DOUBLE, Engine, SqlNode, add, call, cast, double, text


class _Generator(DuckDBGenerator):
    def ordered_sql(self, expression: exp.Ordered) -> str:
        """Return a term of ORDER BY, with the place of NULLs, which a session could change."""
        direction = "DESC" if expression.args.get("desc") else "ASC"
        nulls = "FIRST" if expression.args.get("nulls_first") else "LAST"
        return f"{self.sql(expression, 'this')} {direction} NULLS {nulls}"


def _half_even(value: SqlNode, type_: str) -> SqlNode:
    # DuckDB's CAST rounds halves to the even number; before that it calls -32768.5 too small for SMALLINT.
    return cast(cast(value, BIGINT), type_)


def _sort_key(value: SqlNode) -> SqlNode:
    # DuckDB 1.5 takes a column that it sorts by from its sort key, in which -0 is 0.
    return add(cast(value, DOUBLE), double(0.0))


def _ordered_sum(value: SqlNode, distinct: bool) -> SqlNode:  # noqa: FBT001  a word of the query
    term = exp.Ordered(this=value, desc=False, nulls_first=False)
    summands: SqlNode = exp.Distinct(expressions=[value]) if distinct else value
    return exp.Sum(this=exp.Order(this=summands, expressions=[term]))


def _text_of_time(value: SqlNode) -> SqlNode:
    return call("REPLACE", cast(value, "TEXT"), text(" "), text("T"))


def _bound(name: str, values: Sequence[SqlNode], body: SqlNode) -> SqlNode:
    pairs = [
        exp.PropertyEQ(this=exp.to_identifier(f"a{place}"), expression=value)
        for place, value in enumerate(values)
    ]
    one = exp.Array(expressions=[exp.Struct(expressions=pairs)])
    function = exp.Lambda(this=body, expressions=[exp.to_identifier(name)])
    # SQLGlot counts from 0, DuckDB from 1.
    return exp.Bracket(this=exp.Transform(this=one, expression=function), expressions=[exp.Literal.number(0)])


DUCKDB = Engine(
    name="DuckDB",
    dialect="duckdb",
    generator=lambda: _Generator(dialect="duckdb", identify=False, normalize=False),
    half_even=_half_even,
    sort_key=_sort_key,
    ordered_sum=_ordered_sum,
    text_of_time=_text_of_time,
    bound=_bound,
)
"""DuckDB 1.4 and later."""
