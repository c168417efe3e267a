"""Names of the tables of a PPDB, and where they are described."""

from __future__ import annotations

__all__ = ["CHUNKS", "FELIS", "FELIS_PACKAGE", "METADATA", "PUBLISHED", "SYSTEM_COLUMNS"]

FELIS_PACKAGE = "lsst.sdm.schemas"
FELIS = f"resource://{FELIS_PACKAGE}/apdb.yaml"
"""The schema that lsst-sdm-schemas ships."""

PUBLISHED = (
    "DiaObject",
    "DiaSource",
    "DiaForcedSource",
    "SSSource",
    "SSObject",
    "mpc_orbits",
    "current_identifications",
    "numbered_identifications",
)
"""Tables that ``ppdb.yaml`` publishes: their rows are versioned."""

SYSTEM_COLUMNS = ("snap_from", "snap_to")
"""Columns that versioning adds: the snapshot from which a row is visible, the first in which it is not."""

METADATA = "metadata"
"""Table in which dax_ppdb keeps the versions of schema and software."""

CHUNKS = "PpdbReplicaChunk"
"""Table in which dax_ppdb keeps which chunks of the APDB it has copied."""
