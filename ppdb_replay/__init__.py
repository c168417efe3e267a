"""The PPDB with replay: a query over tables that change is answered so that it can be repeated exactly.

Every change of the PPDB is one snapshot of a commit-ordered clock, and every row says from which snapshot
to which one it is visible. `as_of` makes of a natural query one that sees a given snapshot, in plain
ADQL; `classify` says what can be promised of it. `capture` answers a query with the record that `replay`
needs to answer it again; `diff` tells what has become of it since.

Read `snapshot` and `tables` (what there is), `versions` (how rows get versions), `rewriting` (a query as
of a snapshot), `replaying` (run it, record it, run it again). `votable` puts records into files and takes
them out, `recorder` gives them to results of TAP, `query_store` keeps what is cited, `replication` brings
chunks of an APDB, `following` the rows of a PPDB on another server, `derived` serves migrations and
TAP_SCHEMA, `lake` keeps the history in files and answers from them, `errors` and `cli` are what users see.
"""

from ppdb_replay.replaying.difference import ResultDifference
from ppdb_replay.replaying.execution import RecordedResult
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.replaying.replayer import (
    Replayer,
    Verification,
    capture,
    diff,
    query_at,
    replay,
    verify_record,
)
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.rewriting.classify import Guarantee, Level, classify
from ppdb_replay.rewriting.validity import validity_at
from ppdb_replay.rewriting.version_catalog import NaturalTable, VersionCatalog
from ppdb_replay.snapshot import Snapshot

__all__ = [
    "Guarantee",
    "Level",
    "NaturalTable",
    "RecordedResult",
    "ReplayRecord",
    "Replayer",
    "Request",
    "ResultDifference",
    "Snapshot",
    "Verification",
    "VersionCatalog",
    "as_of",
    "capture",
    "classify",
    "diff",
    "query_at",
    "replay",
    "validity_at",
    "verify_record",
]
