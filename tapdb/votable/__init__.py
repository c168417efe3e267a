"""Rows as VOTable 1.4, written and read as they come.

`fields` says what a column is, `values` makes plain values of what a driver returned, `text` spells them
(and writes CSV and JSON), `tabledata` and `binary2` encode rows, `document` puts the XML around them,
and `first_table` takes it off again.
Tables for people (`tapdb.cli.output`) spell values by `text` too.
"""

from tapdb.votable.document import Document, Param, ServiceDescriptor, System, write_votable
from tapdb.votable.fields import ColumnFacts, Field, written_fields
from tapdb.votable.text import json_of, text_of, write_csv, write_json
from tapdb.votable.values import plain_rows

__all__ = [
    "ColumnFacts",
    "Document",
    "Field",
    "Param",
    "ServiceDescriptor",
    "System",
    "json_of",
    "plain_rows",
    "text_of",
    "write_csv",
    "write_json",
    "write_votable",
    "written_fields",
]
