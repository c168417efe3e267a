"""Run benchmarks by name, or all: ``python -m benchmarks [obscore|ppdb|plot ...] [options of that one]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS = {
    "adql": "benchmarks.adql",
    "follow": "benchmarks.follow",
    "formats": "benchmarks.services.formats",
    "fresh": "benchmarks.fresh",
    "lake": "benchmarks.lake",
    "links": "benchmarks.services.links",
    "obscore": "benchmarks.obscore.benchmark",
    "observing_log": "benchmarks.observing_log",
    "ppdb": "benchmarks.ppdb.benchmark",
    "services": "benchmarks.services.over_http",
    "sia": "benchmarks.services.sia",
    "replay": "benchmarks.services.replay",
    "prompt": "benchmarks.prompt",
    "push": "benchmarks.push",
    "page": "benchmarks.page",
    "plot": "benchmarks.plot",
    "tap_schema": "benchmarks.tap_schema",
    "tasks": "benchmarks.tasks",
}
"""Modules whose ``main(arguments)`` is called, by name, in the order in which all of them are run."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark that is named first with the rest of the arguments; without a name, all of them."""
    if not arguments:
        return max(int(import_module(module).main([])) for module in BENCHMARKS.values())
    name, *rest = arguments
    if name not in BENCHMARKS:
        print(f"{name}: no such benchmark; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    return int(import_module(BENCHMARKS[name]).main(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
