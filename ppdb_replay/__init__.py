"""The PPDB with replay: a query over tables that change is answered so that it can be repeated exactly.

Every change of the PPDB is one snapshot of a commit-ordered clock, and every row says from which snapshot to
which one it is visible. `as_of` makes of a natural query one that sees a given snapshot, in plain ADQL;
`classify` says what can be promised of it. `capture` answers a query with the record that `replay` needs to
answer it again; `diff` tells what has become of it since.
"""

from __future__ import annotations

from ppdb_replay.replaying.capture import capture
from ppdb_replay.replaying.difference import Difference, diff
from ppdb_replay.replaying.execution import Result
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replay import query_at, replay
from ppdb_replay.replaying.verification import Verification, verify_record
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.rewriting.classify import Guarantee, Level, classify
from ppdb_replay.rewriting.validity import validity_at
from ppdb_replay.rewriting.version_catalog import VersionCatalog, VersionedTable
from ppdb_replay.snapshot import Snapshot

__all__ = [
    "Difference",
    "Guarantee",
    "Level",
    "ReplayRecord",
    "Result",
    "Snapshot",
    "Verification",
    "VersionCatalog",
    "VersionedTable",
    "as_of",
    "capture",
    "classify",
    "diff",
    "query_at",
    "replay",
    "validity_at",
    "verify_record",
]
