"""What is to be reached with 2 million versions of objects and 10 million sources.

Ratios are versioned to not versioned, as of the newest snapshot unless it says otherwise.
"""

from __future__ import annotations

from benchmarks.ppdb.capturing import CAPTURING_REACHES
from benchmarks.ppdb.rewriting import REWRITING_REACHES
from benchmarks.results_file import Reach

__all__ = ["REACHES"]

_QUESTIONS = {
    "by_id": "versions of one object, as of a snapshot / latest rows",
    "cone": "cone of 0.5 deg",
    "cone_small": "cone with the objects of 0.5 deg of a sky with 10 of them a square degree",
    "lightcurve": "light curves of the objects in a cone",
    "lightcurve_ids": "light curves of 100 objects",
    "source_scan": "aggregate over all sources",
    "object_scan": "aggregate over all objects",
}
_AGES = {"": "", "_99": ", one night back", "_50": ", half way back", "_10": ", early"}

REACHES = (
    *(
        Reach(f"{key}_ratio{age}", 1.35, f"{text}{when}")
        for key, text in _QUESTIONS.items()
        for age, when in _AGES.items()
    ),
    Reach("current_ratio", 1.08, "natural queries, versioned / not versioned; the slowest of the questions"),
    Reach("current_ratio_median", 1.02, "the same, median of the questions"),
    Reach("ingest_ratio", 1.25, "a night's transaction: COPY of ready-made rows, and updates"),
    Reach("publish_ratio", 1.15, "how long others wait while a chunk is replicated"),
    Reach("lightcurve_ids_source_scans", 0, "scans of all sources in the plan for 100 light curves"),
    Reach("storage_ratio", 1.22, "bytes of all versions / of the latest rows, indexes included"),
    *CAPTURING_REACHES,
    *REWRITING_REACHES,
)
"""In the order in which they are printed."""
