"""ADQL 2.1: parse strictly, explain errors, translate to indexable PostgreSQL. Pure: no database."""

from adql.backends.postgres.query import to_postgres
from adql.check.query import validate
from adql.compiled import CompiledQuery, Server
from adql.dialect import RUBIN, STRICT, Dialect
from adql.errors import AdqlError, AdqlLimitError, AdqlNameError, AdqlSyntaxError, AdqlTypeError
from adql.limits import Limits
from adql.metadata import ColumnMetadata, Metadata, TableMetadata, UserFunction
from adql.nodes import Column, Function, Identifier, Node, Query, Table
from adql.parser import parse
from adql.published import metadata_from_rows
from adql.types import OutputColumn
from adql.walk import columns, functions, replace_children, tables, transform, walk

__all__ = [
    "RUBIN",
    "STRICT",
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
