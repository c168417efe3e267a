"""What is to be reached with 2 million versions of objects and 10 million sources.

Ratios are versioned to not versioned, as of the newest snapshot unless it says otherwise.
"""

from __future__ import annotations

from benchmarks.ppdb.capturing import CAPTURING_REACHES
from benchmarks.ppdb.rewriting import REWRITING_REACHES
from benchmarks.results_file import Reach

__all__ = ["REACHES"]

REACHES = (
    Reach("by_id_ratio", 1.5, "versions of one object, as of a snapshot / latest rows"),
    Reach("cone_ratio", 1.3, "cone of 0.5 deg"),
    Reach(
        "cone_small_ratio", 1.3, "cone with the objects of 0.5 deg of a sky with 10 of them a square degree"
    ),
    Reach("lightcurve_ratio", 1.3, "light curves of the objects in a cone"),
    Reach("lightcurve_ids_ratio", 1.3, "light curves of 100 objects"),
    Reach("source_scan_ratio", 1.5, "aggregate over all sources"),
    Reach("object_scan_ratio", 2, "aggregate over all objects"),
    Reach("current_ratio", 1.05, "natural queries, versioned / not versioned; the slowest of the questions"),
    Reach("ingest_ratio", 1.25, "a night's transaction: COPY of ready-made rows, and updates"),
    Reach("publish_ratio", 1.15, "how long others wait while a chunk is replicated"),
    Reach("lightcurve_ids_source_scans", 0, "scans of all sources in the plan for 100 light curves"),
    Reach("storage_ratio", 1.35, "bytes of all versions / of the latest rows, indexes included"),
    *CAPTURING_REACHES,
    *REWRITING_REACHES,
)
"""In the order in which they are printed."""
