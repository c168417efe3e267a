"""TAP_SCHEMA from what the database holds and what Felis says of it, published under running readers.

``read_felis, read_catalog -> generate_rows -> lint_rows, diff_rows -> publish``.

Read `rows` (what TAP_SCHEMA is), `identifiers`, `catalog` and `column_types` (what the database says),
`stored` and `script` (what is published, and differences as SQL), `generate` (rows from descriptions),
`publish` (one transaction), `datalink` (services) and `files` (VOSI and Felis). Then `assemble`, which brings
all sources of one database together, `lint` (what is wrong) and `history` (to publish again what was
published before). `derived` serves migrations, `errors` and `cli` are what users see.
"""

from tap_schema.assemble import assemble
from tap_schema.catalog import read_catalog
from tap_schema.generate.combine import combine
from tap_schema.generate.generate import Generated, generate_rows
from tap_schema.history import read_generations, rollback
from tap_schema.publish import publish
from tap_schema.rows import TapSchemaRows
from tap_schema.script import diff_rows
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
