"""Pictures of the sky: which nights, bands or how many visits cover it, as PNG.

The sphere is drawn in Mollweide's projection, equatorial, with RA 0 in the middle and growing to the left,
pixel by pixel: the colour of a pixel is that of the cell that its centre lies in.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from prompt_products.coverage.files import EXTRA
from prompt_products.coverage.reading import Ranges
from tapdb.extras import from_extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Cells = NDArray[np.uint64]
    Marks = NDArray[np.bool_]
    Picture = NDArray[np.float64]

WIDTH, HEIGHT = 800, 400
"""Pixels of the sky in a picture."""

MARGIN = 40
"""Pixels around the sky."""

_FOOT = 60
_DPI = 100
_OUTSIDE, _EMPTY, _LINE, _TEXT = "white", "#e8e8ee", "#cfcfda", "#777788"
_GRID_DEG = 30
_SMALL = 7
BANDS = {
    "u": "#0c71ff",
    "g": "#49be61",
    "r": "#c61c00",
    "i": "#ffc200",
    "z": "#f341a2",
    "y": "#5d0000",
}
"""Colours in which Rubin Observatory draws bands (RTN-045)."""

_OTHER = "#555555"
_FLAT = 1e-12


@dataclass(frozen=True, slots=True)
class SkyLayer:
    """A part of the sky in one colour.

    Attributes
    ----------
    label
        What it is, for the legend.
    ranges
        Where it is.
    colour
        Its colour.
    """

    label: str
    ranges: Ranges
    colour: str


def band_colour(band: str | None) -> str:
    """Return the colour in which Rubin Observatory draws a band."""
    return BANDS.get(band or "", _OTHER)


def pixel_of(ra: float, dec: float) -> tuple[int, int]:
    """Return column and row, from the upper left corner of a picture, of a place on the sky in degrees."""
    column, row = _pixels((ra + 180) % 360 - 180, _parameter(dec))
    return int(column) + MARGIN, int(row) + MARGIN


def _parameter(dec: float) -> float:
    """Return the angle by which Mollweide's projection places a declination; degrees, then radians."""
    np = _numpy()
    lat = np.radians(dec)
    theta = lat
    for _ in range(50):
        slope = 2 + 2 * np.cos(2 * theta)
        if abs(slope) < _FLAT:
            break
        theta = theta - (2 * theta + np.sin(2 * theta) - np.pi * np.sin(lat)) / slope
    return float(theta)


def _pixels(lon_deg: Any, theta: Any) -> tuple[Any, Any]:
    """Return columns and rows of places by their longitudes, -180 to 180, and `_parameter`."""
    np = _numpy()
    x, y = -np.asarray(lon_deg) / 180 * np.cos(theta), np.sin(theta)
    columns = np.clip(((x + 1) / 2 * WIDTH).astype(int), 0, WIDTH - 1)
    rows = np.clip(((1 - y) / 2 * HEIGHT).astype(int), 0, HEIGHT - 1)
    return columns, rows


def draw_layers(title: str, layers: Sequence[SkyLayer]) -> bytes:
    """Return a picture of parts of the sky, the later ones over the earlier ones, as PNG.

    Raises
    ------
    MissingExtraError
        Raised if matplotlib or mocpy is not installed.
    """
    np = _numpy()
    cells, inside = _sky()
    picture = _background(inside)
    for layer in layers:
        picture[_contains(layer.ranges, cells) & inside] = _rgb(layer.colour)
    handles = [(layer.label, layer.colour) for layer in layers]
    return _png(np.asarray(picture), title, legend=handles)


def draw_density(title: str, counts: Mapping[int, int], order: int, what: str) -> bytes:
    """Return a picture of how often each part of the sky is covered, as PNG.

    Parameters
    ----------
    title
        Title.
    counts, order
        How often cells of an order are covered, by their number (NESTED).
    what
        What is counted, for the scale.

    Raises
    ------
    MissingExtraError
        Raised if matplotlib or mocpy is not installed.
    """
    np = _numpy()
    with from_extra(EXTRA, "a picture of coverage"):
        import matplotlib as mpl  # noqa: PLC0415
        from matplotlib.colors import Normalize  # noqa: PLC0415
    cells, inside = _sky()
    numbers = np.array(sorted(counts), dtype=np.uint64)
    values = np.array([counts[int(one)] for one in numbers], dtype=float)
    coarse = cells >> np.uint64(58 - 2 * order)
    at = np.minimum(np.searchsorted(numbers, coarse), max(len(numbers) - 1, 0))
    picture = _background(inside)
    scale = mpl.colormaps["viridis"], Normalize(0, max(counts.values(), default=1))
    if len(numbers):
        seen = (numbers[at] == coarse) & inside
        picture[seen] = scale[0](scale[1](values[at[seen]]))[:, :3]
    return _png(np.asarray(picture), title, scale=scale, what=what)


def draw_growth(title: str, curves: Mapping[str, Sequence[tuple[int, float]]]) -> bytes:
    """Return a picture of areas that grow night by night, as PNG.

    Parameters
    ----------
    title
        Title.
    curves
        Nights (YYYYMMDD) and square degrees, by band or any other name.

    Raises
    ------
    MissingExtraError
        Raised if matplotlib is not installed.
    """
    figure, _ = _figure(title)
    left, width = MARGIN * 2 / (WIDTH + 2 * MARGIN), 1 - MARGIN * 3 / (WIDTH + 2 * MARGIN)
    axes = figure.add_axes((left, 0.15, width, 0.72))
    nights = sorted({night for curve in curves.values() for night, _ in curve})
    places = {night: place for place, night in enumerate(nights)}
    for name, curve in curves.items():
        axes.step(
            [places[night] for night, _ in curve],
            [area for _, area in curve],
            where="post",
            marker="o",
            markersize=3,
            label=name,
            color=band_colour(name),
        )
    shown = nights[:: max(1, len(nights) // 8)]
    axes.set_xticks([places[night] for night in shown], [str(night) for night in shown], fontsize=8)
    axes.set_ylabel("square degrees")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return _saved(figure)


def _numpy() -> Any:
    with from_extra(EXTRA, "a picture of coverage"):
        import numpy as np  # noqa: PLC0415
    return np


def _sky() -> "tuple[Cells, Marks]":
    """Return the cell of order 29 under the centre of each pixel, and which pixels are on the sphere."""
    np = _numpy()
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH * 2 - 1, 1 - (np.arange(HEIGHT) + 0.5) / HEIGHT * 2)
    inside = x**2 + y**2 < 1
    theta = np.arcsin(y)
    sine = np.clip((2 * theta + np.sin(2 * theta)) / np.pi, -1, 1)
    longitude = np.where(inside, -np.pi * x / np.cos(theta), 0.0)
    return cells_at(longitude, sine), inside


def cells_at(longitude: "NDArray[np.float64]", sine: "NDArray[np.float64]") -> "Cells":
    """Return the cells of order 29, NESTED, that points lie in (HEALPix; Gorski et al. 2005, section 5).

    Parameters
    ----------
    longitude
        Longitudes in radians.
    sine
        Sines of the latitudes.
    """
    np = _numpy()
    side = 1 << 29
    quarter = (longitude / (np.pi / 2)) % 4
    face = np.floor(quarter).astype(np.int64) % 4
    part = quarter - np.floor(quarter)
    # The belt around the equator, in coordinates along the sides of its faces.
    up, down = side * (0.5 + quarter - sine * 0.75), side * (0.5 + quarter + sine * 0.75)
    rising, falling = np.floor(up).astype(np.int64), np.floor(down).astype(np.int64)
    first, second = rising // side, falling // side
    belt = np.where(first == second, first % 4 + 4, np.where(first < second, first % 4, second % 4 + 8))
    # The caps around the poles.
    near = side * np.sqrt(np.clip(3 * (1 - np.abs(sine)), 0, None))
    left = np.minimum(np.floor(part * near).astype(np.int64), side - 1)
    right = np.minimum(np.floor((1 - part) * near).astype(np.int64), side - 1)
    polar = np.abs(sine) > 2 / 3
    north = sine > 0
    where = np.where(polar, np.where(north, face, face + 8), belt)
    column = np.where(polar, np.where(north, side - 1 - right, left), falling % side)
    line = np.where(polar, np.where(north, side - 1 - left, right), side - 1 - rising % side)
    faces = where.astype(np.uint64) << np.uint64(58)
    return cast("Cells", faces | _spread(column) | (_spread(line) << np.uint64(1)))


def _spread(numbers: "NDArray[np.int64]") -> "Cells":
    """Return numbers with a zero before each of their bits."""
    np = _numpy()
    spread = numbers.astype(np.uint64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << np.uint64(shift))) & np.uint64(mask)
    return cast("Cells", spread)


def _contains(ranges: Ranges, cells: "Cells") -> "Marks":
    np = _numpy()
    bounds = np.array(ranges, dtype=np.uint64).reshape(-1)
    # In a range, an odd number of bounds lies at or before it.
    return cast("Marks", np.searchsorted(bounds, cells, side="right") % 2 == 1)


def _rgb(colour: str) -> tuple[float, float, float]:
    with from_extra(EXTRA, "a picture of coverage"):
        from matplotlib.colors import to_rgb  # noqa: PLC0415
    return to_rgb(colour)


def _background(inside: "Marks") -> "Picture":
    np = _numpy()
    picture = np.empty((HEIGHT, WIDTH, 3))
    picture[:] = _rgb(_OUTSIDE)
    picture[inside] = _rgb(_EMPTY)
    # Lines of the grid lie below what is drawn.
    theta = np.linspace(-np.pi / 2, np.pi / 2, 4 * HEIGHT)
    for lon in range(-180, 181, _GRID_DEG):
        columns, rows = _pixels(np.full(theta.shape, lon), theta)
        picture[rows, columns] = _rgb(_LINE)
    longitudes = np.linspace(-180, 180, 4 * WIDTH)
    for dec in range(_GRID_DEG - 90, 90, _GRID_DEG):
        columns, rows = _pixels(longitudes, np.full(longitudes.shape, _parameter(dec)))
        picture[rows, columns] = _rgb(_LINE)
    return cast("Picture", picture)


def _figure(title: str) -> tuple[Any, tuple[float, float]]:
    with from_extra(EXTRA, "a picture of coverage"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    size = (WIDTH + 2 * MARGIN, HEIGHT + MARGIN + _FOOT)
    figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, facecolor=_OUTSIDE)
    FigureCanvasAgg(figure)
    figure.text(0.5, 1 - 0.5 * MARGIN / size[1], title, ha="center", va="center")
    return figure, size


def _png(
    picture: "NDArray[np.float64]",
    title: str,
    *,
    legend: Sequence[tuple[str, str]] = (),
    scale: tuple[Any, Any] | None = None,
    what: str = "",
) -> bytes:
    figure, (width, height) = _figure(title)
    axes = figure.add_axes((MARGIN / width, _FOOT / height, WIDTH / width, HEIGHT / height))
    axes.set_axis_off()
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    _label(axes)
    if scale is not None:
        from matplotlib.cm import ScalarMappable  # noqa: PLC0415

        below = figure.add_axes((0.3, 0.65 * _FOOT / height, 0.4, 0.15 * _FOOT / height))
        bar = figure.colorbar(ScalarMappable(scale[1], scale[0]), cax=below, orientation="horizontal")
        bar.set_label(what, fontsize=_SMALL + 1, labelpad=1)
        bar.ax.tick_params(labelsize=_SMALL + 1, length=2, pad=2)
    elif legend:
        from matplotlib.patches import Patch  # noqa: PLC0415

        patches = [Patch(color=colour, label=label) for label, colour in legend]
        figure.legend(handles=patches, loc="lower center", ncols=min(len(patches), 8), frameon=False)
    return _saved(figure)


def _label(axes: Any) -> None:
    """Write right ascensions along the equator and declinations at the left edge, in degrees."""
    for ra in range(2 * _GRID_DEG, 360, 2 * _GRID_DEG):
        column, row = pixel_of(ra, 0)
        axes.text(
            column - MARGIN, row - MARGIN + 2, f"{ra}°", ha="center", va="top", fontsize=_SMALL, color=_TEXT
        )
    for dec in range(_GRID_DEG - 90, 90, _GRID_DEG):
        column, row = pixel_of(179.99, dec)
        text = f"{dec:+d}°" if dec else "0°"
        axes.text(
            column - MARGIN - 4, row - MARGIN, text, ha="right", va="center", fontsize=_SMALL, color=_TEXT
        )


def _saved(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()
