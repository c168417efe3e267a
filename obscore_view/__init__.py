"""ObsCore as a live view over a Butler registry: a dataset is searchable in the transaction that stored it.

``read_registry -> build_mapping -> build_select -> create_view``; `check_view` tells whether a view still
fits.

Read `columns` (what ObsCore is), `registry`, `where` and `config` (what there is, and what is wanted),
`mapping` (what each dataset type is), `select` (the statement), `view` (the objects in the database, and the
rights that they need), `follow` (a database beside the registries). Beside them: `check` finds what no longer
fits, `first_config` writes a configuration to begin with, `identifiers` go from a DID to a dataset and back,
`parquet` (which needs pyarrow) serves `export`, `derived` serves migrations and TAP_SCHEMA, `errors` and
`cli` are what users see.
"""

from obscore_view.check import check_view
from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.parse import parse_config, read_config
from obscore_view.identifiers import data_id, parse_did
from obscore_view.mapping import DatasetMapping, build_mapping
from obscore_view.registry.read import read_registry
from obscore_view.registry.snapshot import Registry
from obscore_view.select.statement import build_select
from obscore_view.view.make import create_view, drop_view, refresh_view

__all__ = [
    "DatasetMapping",
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
