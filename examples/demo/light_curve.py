"""Light curves side by side, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

__all__ = ["draw_light_curves"]

_COLOURS = {
    "u": "#56b4e9",
    "g": "#008060",
    "r": "#ff4000",
    "i": "#850000",
    "z": "#6600cc",
    "y": "#000000",
}
"""Colours of the bands, told apart by those who are colour-blind too."""

_MARKS = {"u": "o", "g": "^", "r": "v", "i": "s", "z": "*", "y": "p"}


def draw_light_curves(curves: Mapping[str, Sequence[Sequence[Any]]], path: Path) -> None:
    """Draw light curves beside each other, with the same axes.

    Parameters
    ----------
    curves
        For each title rows of time (MJD, TAI), band, flux and its error (nJy).
    path
        File to write.
    """
    figure = Figure(figsize=(4.2 * len(curves), 4.2), layout="constrained")
    panels = figure.subplots(1, len(curves), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, rows) in zip(panels, curves.items(), strict=True):
        for band, colour in _COLOURS.items():
            points = [row for row in rows if row[1] == band]
            if points:
                times, _, fluxes, errors = zip(*points, strict=True)
                axes.errorbar(
                    times, fluxes, errors, fmt=_MARKS[band], color=colour, label=band, ms=5, lw=1, capsize=2
                )
        axes.axhline(0.0, color="0.7", lw=0.8, zorder=0)
        axes.set_title(f"{title}: {len(rows)} detections")
        axes.set_xlabel("MJD (TAI)")
        axes.ticklabel_format(useOffset=False)
        axes.tick_params(axis="x", rotation=30)
    panels[0].set_ylabel("difference flux [nJy]")
    handles = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", title="band", frameon=False)
    figure.savefig(path, dpi=110)
