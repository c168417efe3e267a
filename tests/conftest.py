"""What all tests share: a real server, how hypothesis searches, and which files run first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Every module in tests/plugins is one.
pytest_plugins = [f"tests.plugins.{path.stem}" for path in sorted(Path(__file__).parent.glob("plugins/*.py"))]

# In CI the same examples on every run; a deadline would measure the machine, not the code.
settings.register_profile(
    "tapdb",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("tapdb")

LONGEST = (
    "obscore_view/test_follow.py",
    "obscore_view/test_kept_fill.py",
    "docs/test_docs.py",
    "docs/test_site.py",
    "obscore_view/test_cli.py",
    "obscore_view/test_kept_notes.py",
    "migrations/test_frozen_revisions.py",
    "obscore_view/test_kept_histories.py",
    "obscore_view/test_rights.py",
    "tapdb/test_ephemeral_cli.py",
    "obscore_view/test_derived.py",
    "obscore_view/test_view_universes.py",
    "obscore_view/test_check.py",
    "obscore_view/test_view_geometry_modes.py",
    "obscore_view/test_view_runs.py",
    "tapdb/test_migrate_cli.py",
    "obscore_view/test_kept_soak.py",
    "ppdb_replay/test_lake_refresh.py",
    "ppdb_replay/test_ppdb_follow.py",
    "ppdb_replay/test_replication_timestamps.py",
    "obscore_view/test_view_registrations.py",
    "migrations/test_upgrade_downgrade.py",
    "tapdb/test_server.py",
    "tapdb/test_wheel.py",
)
"""Files that take longest, in this order: none of them is to run alone at the end beside an idle worker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, where workers take them in this order; let tests that soak run on."""
    folder = Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(0))
