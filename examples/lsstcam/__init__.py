"""LSSTCam-like Butler repositories in PostgreSQL for tests, demonstration and benchmarks."""

from __future__ import annotations

from .content import SMALL, TINY, Content, Pointing, next_pointing
from .repository import (
    OBSCORE_CONFIG,
    Repository,
    define_visits,
    ingest_raws,
    ingest_visit,
    make_repository,
    obscore_config,
    process_visit,
    replace_region,
)

__all__ = [
    "OBSCORE_CONFIG",
    "SMALL",
    "TINY",
    "Content",
    "Pointing",
    "Repository",
    "define_visits",
    "ingest_raws",
    "ingest_visit",
    "make_repository",
    "next_pointing",
    "obscore_config",
    "process_visit",
    "replace_region",
]
