"""What all tests share: a real server, and how hypothesis searches."""

from __future__ import annotations

import os
from pathlib import Path

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
