"""The view against daf_butler's live ObsCore table and dax_obscore's exporter, on one server in one run.

`archive` makes repositories and `sides` the tables beside the view; `questions` the queries,
`timing` asks and `plans` explains. On copies of an archive, `ingest`, `locks`, `runs`, `dataset_types` and
`geometry` measure what needs a database of its own; `export` and `decoding` read. `benchmark` runs all,
and `reach` has the limits.
"""

from __future__ import annotations

__all__: list[str] = []
