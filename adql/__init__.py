"""ADQL 2.1 without a database: parse strictly, explain errors, translate to indexable PostgreSQL.

In reading order: `errors`, `limits` and `words` (with the table of functions), `names`, `types`, `units`,
`metadata` (what a service publishes), `guards` (what a role sees of it) and `dialect`; `tree`, `walk` and
`printer`; `tokens`, `forms` and `parser` make a tree of a text; `check` finds its names and types; `backends`
write it for a database.
"""

from adql.backends.postgres.budget import Search
from adql.backends.postgres.pieces import Server
from adql.backends.postgres.query import CompiledQuery, to_postgres
from adql.check.query import validate
from adql.dialect import RUBIN, STRICT, Dialect
from adql.errors import (
    AdqlEngineError,
    AdqlError,
    AdqlLimitError,
    AdqlNameError,
    AdqlSyntaxError,
    AdqlTypeError,
)
from adql.limits import Limits
from adql.metadata import (
    ColumnMetadata,
    Metadata,
    OutputColumn,
    TableMetadata,
    UserFunction,
    metadata_from_rows,
)
from adql.names import Identifier
from adql.parser import parse
from adql.tree import Column, Function, Node, Query, Table
from adql.walk import columns, functions, replace_children, tables, transform, walk

__all__ = [
    "RUBIN",
    "STRICT",
    "AdqlEngineError",
    "AdqlError",
    "AdqlLimitError",
    "AdqlNameError",
    "AdqlSyntaxError",
    "AdqlTypeError",
    "Column",
    "ColumnMetadata",
    "CompiledQuery",
    "Dialect",
    "Function",
    "Identifier",
    "Limits",
    "Metadata",
    "Node",
    "OutputColumn",
    "Query",
    "Search",
    "Server",
    "Table",
    "TableMetadata",
    "UserFunction",
    "columns",
    "functions",
    "metadata_from_rows",
    "parse",
    "replace_children",
    "tables",
    "to_postgres",
    "transform",
    "validate",
    "walk",
]
