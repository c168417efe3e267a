"""The PPDB with replay: a query over tables that change is answered so that it can be repeated exactly.

Every change of the PPDB is one snapshot of a commit-ordered clock, and every row says from which snapshot to
which one it is visible. `as_of` makes of a natural query one that sees a given snapshot, in plain ADQL;
`classify` says what can be promised of it.
"""

from __future__ import annotations

from ppdb_replay.as_of import as_of
from ppdb_replay.classify import Guarantee, Level, classify
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.validity import validity_at
from ppdb_replay.version_catalog import VersionCatalog, VersionedTable

__all__ = [
    "Guarantee",
    "Level",
    "Snapshot",
    "VersionCatalog",
    "VersionedTable",
    "as_of",
    "classify",
    "validity_at",
]
