"""Draw footprints on the sky: all of it in Mollweide's projection, and two places close up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .projection import Points, densified, frame, mollweide, pieces, tangent_plane

__all__ = ["Footprint", "draw_sky", "parse_region"]

# Okabe and Ito's colours: told apart by colour-blind readers too.
_COLOURS: Mapping[str, str] = {
    "lsst.raw": "#999999",
    "lsst.visit_image": "#0072B2",
    "lsst.difference_image": "#D55E00",
    "lsst.deep_coadd": "#009E73",
}
_FILL: Mapping[str, float] = {
    "lsst.raw": 0.0,
    "lsst.visit_image": 0.18,
    "lsst.difference_image": 0.18,
    "lsst.deep_coadd": 0.0,
}
_GRID: Mapping[str, Any] = {"color": "#cccccc", "linewidth": 0.6, "zorder": 0}
_SMALL: Mapping[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
_CLOSE_UPS = (("North pole", 0.0, 90.0, 3.3), ("RA 0°, Dec 0°", 0.0, 0.0, 3.3))


@dataclass(frozen=True, slots=True)
class Footprint:
    """The outline of a dataset on the sky: unit vectors of its vertices (ICRS), shape (vertex, 3)."""

    subtype: str
    vertices: Points


def parse_region(s_region: str, subtype: str) -> Footprint:
    """Return the footprint that an ``s_region`` of the form ``POLYGON ICRS ra dec ...`` (degrees) tells."""
    _, _, *numbers = s_region.split()
    ra, dec = np.radians(np.array(numbers, dtype=float).reshape(-1, 2)).T
    return Footprint(
        subtype, np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
    )


def draw_sky(footprints: Sequence[Footprint], path: Path) -> int:
    """Draw the footprints of images, coloured by kind of product, write a PNG and return how many there are.

    Parameters
    ----------
    footprints
        What to draw; kinds are drawn in the order of the legend.
    path
        File to write.
    """
    kinds = [kind for kind in _COLOURS if any(each.subtype == kind for each in footprints)]
    figure = Figure(figsize=(11.0, 11.0), layout="constrained")
    panels = figure.subplot_mosaic([["all", "all"], ["left", "right"]], height_ratios=[1.0, 1.05])
    _draw_graticule(panels["all"])
    for kind in kinds:
        outlines = [densified(each.vertices) for each in footprints if each.subtype == kind]
        parts = [mollweide(piece) for outline in outlines for piece in pieces(outline)]
        _add(panels["all"], parts, kind, width=0.3)
        for name, (_, ra_deg, dec_deg, radius_deg) in zip(("left", "right"), _CLOSE_UPS, strict=True):
            near = _near(outlines, ra_deg, dec_deg, radius_deg)
            _add(panels[name], [tangent_plane(each, ra_deg, dec_deg) for each in near], kind, width=0.6)
    for name, (title, _, dec_deg, radius_deg) in zip(("left", "right"), _CLOSE_UPS, strict=True):
        _finish_close_up(panels[name], title, dec_deg, radius_deg)
    panels["all"].set_title("ivoa.ObsCore on the sky (ICRS, Mollweide; right ascension grows to the left)")
    counts = {kind: sum(each.subtype == kind for each in footprints) for kind in kinds}
    figure.legend(
        handles=[Line2D([], [], color=_COLOURS[k], lw=4, label=f"{k} ({counts[k]:,})") for k in kinds],
        loc="outside lower center",
        ncols=len(kinds),
        frameon=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"path.simplify": False}):
        figure.savefig(path, dpi=130)
    return sum(counts.values())


def _add(axes: Axes, polygons: Sequence[Points], kind: str, *, width: float) -> None:
    colour = _COLOURS[kind]
    fill = mpl.colors.to_rgba(colour, _FILL[kind])
    axes.add_collection(PolyCollection(polygons, facecolors=fill, edgecolors=colour, linewidths=width))


def _draw_graticule(axes: Axes) -> None:
    around, up = np.linspace(-np.pi, np.pi, 181), np.linspace(-np.pi / 2.0, np.pi / 2.0, 91)
    for lat_deg in range(-60, 90, 30):
        lat = np.full_like(around, np.radians(lat_deg))
        line = mollweide(np.stack([around, lat], axis=-1))
        axes.plot(*line.T, **_GRID)
        axes.annotate(f"{lat_deg:+d}°", tuple(line[-1]), (-18, -3), **_SMALL)
    for lon_deg in range(-180, 181, 30):
        lon = np.full_like(up, np.radians(lon_deg))
        line = mollweide(np.stack([lon, up], axis=-1))
        axes.plot(*line.T, **_GRID)
        if abs(lon_deg) < 180:
            axes.annotate(f"{lon_deg % 360}°", tuple(line[len(line) // 2]), (0, 3), **_SMALL)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _finish_close_up(axes: Axes, title: str, dec_deg: float, radius_deg: float) -> None:
    axes.set(
        title=f"{title}: tangent plane",
        xlim=(-radius_deg, radius_deg),
        ylim=(-radius_deg, radius_deg),
        xlabel="degrees to the west",
        ylabel="degrees to the north" if abs(dec_deg) < 90.0 else "degrees towards RA 180°",
        aspect="equal",
    )


def _near(outlines: Sequence[Points], ra_deg: float, dec_deg: float, radius_deg: float) -> list[Points]:
    centre, _, _ = frame(ra_deg, dec_deg)
    limit = np.cos(np.radians(2.0 * radius_deg))
    return [outline for outline in outlines if (outline @ centre).min() > limit]
