"""``python -m benchmarks plot``: how times grow with the number of rows, view and live table, as a PNG."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

from benchmarks.results_file import RESULTS, read_results, say

__all__ = ["archives", "main", "plot_growth"]

_IMAGE = Path(__file__).parents[1] / "docs" / "images" / "obscore-growth.png"
_PANELS = {
    "cone_all_prepared": "cone 0.01°, prepared",
    "cone_wide_prepared": "cone 5°, prepared",
    "uuid_prepared": "by UUID, prepared",
    "cone_all": "cone 0.01°, new text",
    "did": "by obs_publisher_did",
    "obs_id": "by obs_id",
    "time": "ten minutes",
    "count": "count(*)",
    "scan": "COPY of all rows",
}
_SIDES = {"view": ("ivoa.ObsCore", "o-"), "live": ("daf_butler's live table", "s--")}


def main(arguments: Sequence[str]) -> int:
    """Draw the growth figures of ``obscore.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plot", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of obscore.json")
    parser.add_argument("--output", type=Path, default=_IMAGE, help="file to write")
    options = parser.parse_args(arguments)
    plot_growth(read_results("obscore", options.results), options.output)
    say(f"{options.output}")
    return 0


def archives(figures: Mapping[str, float]) -> list[tuple[float, str]]:
    """Return rows and name of each archive that was measured, smallest first."""
    return sorted(
        (rows, key.removeprefix("rows_")) for key, rows in figures.items() if key.startswith("rows_")
    )


def plot_growth(figures: Mapping[str, float], path: Path) -> None:
    """Draw milliseconds over rows for each question, view and live table, both axes logarithmic."""
    mpl.use("Agg")
    sizes = archives(figures)
    rows = [number for number, _ in sizes]
    figure, panels = plt.subplots(3, 3, figsize=(10, 8), sharex=True, layout="constrained")
    for panel, (key, title) in zip(panels.flat, _PANELS.items(), strict=True):
        for side, (label, style) in _SIDES.items():
            panel.loglog(rows, [figures[f"{key}_{side}_ms_{name}"] for _, name in sizes], style, label=label)
        panel.set_title(title, fontsize=10)
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.grid(visible=True, which="major", alpha=0.3)
    for panel in panels[:, 0]:
        panel.set_ylabel("ms, median")
    for panel in panels[-1]:
        panel.set_xlabel("rows")
    panels[0, 0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
