"""ObsCore as a live view over a Butler registry: a dataset is searchable in the transaction that stored it.

``read_registry -> build_mapping -> build_select -> create_view``; `check_view` tells whether a view still
fits.
"""

from __future__ import annotations

from obscore_view.config import ObsCoreConfig, parse_config, read_config
from obscore_view.mapping import Mapping, build_mapping
from obscore_view.registry import read_registry
from obscore_view.snapshot import Registry
from obscore_view.statement import build_select
from obscore_view.view import create_view, drop_view, refresh_view

__all__ = [
    "Mapping",
    "ObsCoreConfig",
    "Registry",
    "build_mapping",
    "build_select",
    "create_view",
    "drop_view",
    "parse_config",
    "read_config",
    "read_registry",
    "refresh_view",
]
