"""ObsCore as a live view over a Butler registry: a dataset is searchable in the transaction that stored it.

``read_registry -> build_mapping -> build_select -> create_view``; `check_view` tells whether a view still
fits.
"""

from __future__ import annotations

from obscore_view.check import check_view
from obscore_view.config import ObsCoreConfig, parse_config, read_config
from obscore_view.identifiers import data_id, parse_did
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
    "check_view",
    "create_view",
    "data_id",
    "drop_view",
    "parse_config",
    "parse_did",
    "read_config",
    "read_registry",
    "refresh_view",
]
