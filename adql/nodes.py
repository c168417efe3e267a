"""The tree of an ADQL query: frozen values that compare by content and print as ADQL.

Chains (`a + b - c`, `x AND y AND z`, `q UNION r EXCEPT s`, `t JOIN u JOIN v`) are one node with many
operands, not a nest of pairs, so that the depth of a tree follows the parentheses of the query and never
its length.

`at`, `type` and `origin` do not count in a comparison: where the node was read, and what `adql.check.query`
found out.
"""

from __future__ import annotations

from adql.conditions import (
    And,
    Between,
    Comparison,
    Exists,
    In,
    IsNull,
    Like,
    Not,
    Or,
)
from adql.queries import (
    AllColumns,
    CommonTable,
    DerivedTable,
    Join,
    JoinedTable,
    Ordering,
    Output,
    Query,
    Select,
    SetOperation,
    SetStep,
    Table,
    TableReference,
)
from adql.tree import (
    Aggregate,
    Arithmetic,
    Case,
    Cast,
    Column,
    Concatenation,
    Condition,
    Expression,
    Function,
    Identifier,
    Node,
    Null,
    Number,
    ScalarQuery,
    Sign,
    String,
)

__all__ = [
    "Aggregate",
    "AllColumns",
    "And",
    "Arithmetic",
    "Between",
    "Case",
    "Cast",
    "Column",
    "CommonTable",
    "Comparison",
    "Concatenation",
    "Condition",
    "DerivedTable",
    "Exists",
    "Expression",
    "Function",
    "Identifier",
    "In",
    "IsNull",
    "Join",
    "JoinedTable",
    "Like",
    "Node",
    "Not",
    "Null",
    "Number",
    "Or",
    "Ordering",
    "Output",
    "Query",
    "ScalarQuery",
    "Select",
    "SetOperation",
    "SetStep",
    "Sign",
    "String",
    "Table",
    "TableReference",
]
