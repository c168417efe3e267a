"""ADQL 2.1: parse strictly, explain errors, translate to indexable PostgreSQL. Pure: no database, no files."""

from adql.dialect import RUBIN, STRICT, Dialect
from adql.errors import AdqlError, AdqlLimitError, AdqlNameError, AdqlSyntaxError, AdqlTypeError
from adql.limits import Limits
from adql.nodes import Column, Function, Identifier, Node, Query, Table
from adql.parser import parse
from adql.walk import columns, functions, tables, transform, walk

__all__ = [
    "RUBIN",
    "STRICT",
    "AdqlError",
    "AdqlLimitError",
    "AdqlNameError",
    "AdqlSyntaxError",
    "AdqlTypeError",
    "Column",
    "Dialect",
    "Function",
    "Identifier",
    "Limits",
    "Node",
    "Query",
    "Table",
    "columns",
    "functions",
    "parse",
    "tables",
    "transform",
    "walk",
]
