"""What the parts of tapdb share: errors, settings, connections, SQL sources, command line."""

from __future__ import annotations

from tapdb.errors import TapdbError

__all__ = ["TapdbError", "__version__"]

__version__ = "0.1.0"
