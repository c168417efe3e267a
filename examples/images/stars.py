"""Stars of a field: where they are, and how bright in each band at any time; the same at every run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Star", "make_stars"]

_SEED = 20260301
_FAINTEST_NJY, _BRIGHTEST_NJY = 2_000.0, 200_000.0
_EVERY_VARIABLE = 10
_PERIOD_DAYS, _AMPLITUDE = 0.7, 0.3


@dataclass(frozen=True, slots=True)
class Star:
    """A star.

    Attributes
    ----------
    id
        Number of the star in its field, from 0.
    ra_deg, dec_deg
        Position, ICRS.
    mean_njy
        Mean flux by band, nJy.
    amplitude, phase
        Relative amplitude of its variation, a sine with a period of 0.7 days, and its phase, radians; a star
        of amplitude 0 is constant.
    """

    id: int
    ra_deg: float
    dec_deg: float
    mean_njy: Mapping[str, float]
    amplitude: float
    phase: float

    def flux_njy(self, band: str, mjd_tai: float) -> float:
        """Return the flux in a band at a time, nJy."""
        wave = math.sin(2 * math.pi * mjd_tai / _PERIOD_DAYS + self.phase)
        return self.mean_njy[band] * (1 + self.amplitude * wave)


def make_stars(ra_deg: float, dec_deg: float, radius_deg: float, number: int) -> tuple[Star, ...]:
    """Return stars within a circle, evenly spread in the mean; every tenth one varies.

    Parameters
    ----------
    ra_deg, dec_deg, radius_deg
        The circle, ICRS; far from the poles.
    number
        How many stars.
    """
    random = np.random.default_rng(_SEED)
    radius = radius_deg * np.sqrt(random.random(number))
    angle = 2 * np.pi * random.random(number)
    reference = _FAINTEST_NJY * (_BRIGHTEST_NJY / _FAINTEST_NJY) ** random.random(number)
    # The redder a star, the fainter in g and u beside r.
    colour = random.normal(0.6, 0.3, number)
    factors = {"u": -1.8, "g": -1.0, "r": 0.0, "i": 0.4, "z": 0.6, "y": 0.7}
    return tuple(
        Star(
            id=one,
            ra_deg=float((ra_deg + radius[one] * np.sin(angle[one]) / math.cos(math.radians(dec_deg))) % 360),
            dec_deg=float(dec_deg + radius[one] * np.cos(angle[one])),
            mean_njy={
                band: float(reference[one] * 10 ** (0.4 * factor * colour[one]))
                for band, factor in factors.items()
            },
            amplitude=_AMPLITUDE if one % _EVERY_VARIABLE == 0 else 0.0,
            phase=float(angle[one]),
        )
        for one in range(number)
    )
