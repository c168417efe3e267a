"""A night drawn: seeing and airmass against time, by band, with the exposures that people have flagged."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from prompt_products.coverage.maps import band_colour
from tapdb.extras import from_extra

EXTRA = "coverage"
"""Extra of tapdb with what draws."""

_FLAGS = {"questionable": ("tab:orange", "v"), "junk": ("tab:red", "X")}


def draw_night(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a picture (PNG) of exposures of a night.

    Parameters
    ----------
    rows
        Exposures.

    Raises
    ------
    MissingExtraError
        Raised if matplotlib is not installed.
    """
    with from_extra(EXTRA, "a picture of a night"):
        from matplotlib.figure import Figure  # noqa: PLC0415

    timed = [row for row in rows if row["obs_start_mjd"] is not None]
    days = sorted({str(row["day_obs"]) for row in rows})
    names = sorted({row["instrument_name"] for row in rows})
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    start = int(min((row["obs_start_mjd"] for row in timed), default=0))

    def hours(row: Mapping[str, Any]) -> float:
        return float((row["obs_start_mjd"] - start) * 24)

    for band in sorted({row["band"] or "" for row in timed}):
        here = [row for row in timed if (row["band"] or "") == band]
        for axes, key in ((above, "seeing"), (below, "airmass")):
            shown = [row for row in here if row[key] is not None]
            axes.plot(
                [hours(row) for row in shown],
                [row[key] for row in shown],
                ".",
                color=band_colour(band or None),
                label=band or "no band",
            )
    dimm = [row for row in timed if row["dimm_seeing"] is not None]
    above.plot(
        [hours(row) for row in dimm],
        [row["dimm_seeing"] for row in dimm],
        "-",
        color="0.6",
        label="DIMM",
        lw=1,
    )
    for flag, (colour, marker) in _FLAGS.items():
        flagged = [row for row in timed if row["exposure_flag"] == flag and row["airmass"] is not None]
        if flagged:
            below.plot(
                [hours(row) for row in flagged],
                [row["airmass"] for row in flagged],
                marker,
                color=colour,
                label=flag,
                ls="",
            )
    above.set_ylabel("seeing [arcsec]")
    below.set_ylabel("airmass")
    below.invert_yaxis()
    below.set_xlabel(f"hours from MJD {start} (TAI)")
    above.set_title(f"Night of {', '.join(days)}: {', '.join(names)}, {len(rows)} exposures")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right", fontsize="small", ncols=4)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    return drawn.getvalue()
