"""What all tests share: a real server, and how hypothesis searches."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.plugins.server"]

# In CI the same examples on every run; a deadline would measure the machine, not the code.
settings.register_profile(
    "tapdb", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("tapdb")
