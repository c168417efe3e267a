"""Figures of a benchmark as one flat JSON object, and the table of what was to be reached."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RESULTS", "Reach", "add_results", "missed", "print_table", "read_results", "say", "write_results"]

RESULTS = Path(__file__).with_name("results")
"""Folder of the results, one file a benchmark."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a figure is to reach.

    Attributes
    ----------
    key
        Name of the figure.
    limit
        Largest value that will do.
    meaning
        What the figure is, for a person.
    """

    key: str
    limit: float
    meaning: str


def say(text: str) -> None:
    """Tell the person who waits how far it is, on standard error."""
    print(text, file=sys.stderr, flush=True)


def write_results(name: str, figures: Mapping[str, float], folder: Path = RESULTS) -> Path:
    """Write figures to ``NAME.json``, rounded to four digits, in order of name; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    rounded = {key: float(format(value, ".4g")) for key, value in sorted(figures.items())}
    path.write_text(json.dumps(rounded, indent=1) + "\n")
    return path


def add_results(name: str, figures: Mapping[str, float], folder: Path = RESULTS) -> Path:
    """Write figures to ``NAME.json`` and keep the others that are in it; return the file."""
    others = read_results(name, folder) if (folder / f"{name}.json").exists() else {}
    return write_results(name, {**others, **figures}, folder)


def read_results(name: str, folder: Path = RESULTS) -> dict[str, float]:
    """Return the figures in ``NAME.json``."""
    found: dict[str, float] = json.loads((folder / f"{name}.json").read_text())
    return found


def missed(figures: Mapping[str, float], reaches: Sequence[Reach]) -> list[Reach]:
    """Return what was not reached; a figure that is not there was not."""
    return [reach for reach in reaches if not figures.get(reach.key, float("inf")) <= reach.limit]


def print_table(figures: Mapping[str, float], reaches: Sequence[Reach]) -> None:
    """Print each figure beside its limit, misses marked."""
    failed = missed(figures, reaches)
    for reach in reaches:
        value = figures.get(reach.key)
        shown = "-" if value is None else format(value, ".3g")
        mark = "MISSED" if reach in failed else ""
        print(f"{reach.key:28} {shown:>8}  <= {reach.limit:<6g} {mark:7} {reach.meaning}")
    print(f"{len(reaches) - len(failed)} of {len(reaches)} reached")
