"""LSSTCam-like Butler repositories in PostgreSQL for tests, demonstration and benchmarks."""

from __future__ import annotations

from .content import MINI, SMALL, TINY, Content, Pointing, next_pointing
from .grow import Growth, grow
from .pair import Pair, live_rows, make_pair
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
from .versions import RegistryVersion

__all__ = [
    "MINI",
    "OBSCORE_CONFIG",
    "SMALL",
    "TINY",
    "Content",
    "Growth",
    "Pair",
    "Pointing",
    "RegistryVersion",
    "Repository",
    "define_visits",
    "grow",
    "ingest_raws",
    "ingest_visit",
    "live_rows",
    "make_pair",
    "make_repository",
    "next_pointing",
    "obscore_config",
    "process_visit",
    "replace_region",
]
