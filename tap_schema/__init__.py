"""TAP_SCHEMA from what the database holds and what Felis says of it, published under running readers.

``read_felis, read_catalog -> generate_rows -> lint_rows, diff_rows -> publish``; `assemble` brings all
sources of one database together, `rollback` publishes again what was published before.
"""

from __future__ import annotations

from tap_schema.assemble import assemble
from tap_schema.catalog import read_catalog
from tap_schema.combine import combine
from tap_schema.diff import diff_rows
from tap_schema.generate import Generated, generate_rows
from tap_schema.history import read_generations, rollback
from tap_schema.publish import publish
from tap_schema.rows import TapSchemaRows
from tap_schema.stored import read_rows
from tapdb.felis import read_felis

__all__ = [
    "Generated",
    "TapSchemaRows",
    "assemble",
    "combine",
    "diff_rows",
    "generate_rows",
    "publish",
    "read_catalog",
    "read_felis",
    "read_generations",
    "read_rows",
    "rollback",
]
