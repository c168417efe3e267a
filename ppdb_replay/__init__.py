"""The PPDB with replay: a query over tables that change is answered so that it can be repeated exactly.

Every change of the PPDB is one snapshot of a commit-ordered clock, and every row says from which snapshot to
which one it is visible.
"""

from __future__ import annotations

from ppdb_replay.snapshot import Snapshot

__all__ = ["Snapshot"]
