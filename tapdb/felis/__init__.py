"""Felis files: what tables and columns mean, with the line on which each part stands.

`nodes` reads YAML with its lines, `columns` and `keys` make descriptions of it, `reader` puts the files
together, and `tables` makes the tables that a file describes. No other module of tapdb reads Felis.
"""

from tapdb.felis.reader import read_felis
from tapdb.felis.tables import read_tables

__all__ = ["read_felis", "read_tables"]
