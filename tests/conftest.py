"""What all tests share: a real server, and how hypothesis searches."""

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

# Files with few tests that take long: begun last, one of them would keep a single worker busy at the end.
_LONG_FILES = frozenset(
    {
        "tests/adql/test_budget.py",
        "tests/benchmarks/test_benchmarks.py",
        "tests/docs/test_docs.py",
        "tests/docs/test_recipes.py",
        "tests/examples/test_demo.py",
        "tests/migrations/test_roles.py",
        "tests/obscore_view/test_cli.py",
        "tests/ppdb_replay/test_file_fixity.py",
        "tests/ppdb_replay/test_replication_process.py",
        "tests/tap_schema/test_rubin_schemas.py",
        "tests/tapdb/test_ephemeral_cli.py",
        "tests/tapdb/test_every_command.py",
        "tests/tapdb/test_migrate_cli.py",
        "tests/tapdb/test_setup.py",
        "tests/tapdb/test_wheel.py",
    }
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in _LONG_FILES)
