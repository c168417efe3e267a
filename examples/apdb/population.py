"""What is in the sky of the example: variable stars, supernovae, active nuclei, asteroids, in one field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .visits import Visit

__all__ = [
    "CENTRE_DEC_DEG",
    "CENTRE_RA_DEG",
    "Population",
    "detector_of",
    "difference_flux_njy",
    "make_population",
]

Floats = npt.NDArray[np.float64]

# The Extended Chandra Deep Field South, a deep field of the survey.
CENTRE_RA_DEG = 53.13
CENTRE_DEC_DEG = -28.10
_HALF_WIDTH_DEG = 0.35
_DETECTORS_A_SIDE = 3
# The nine detectors of the raft in the middle of the focal plane.
_FIRST_DETECTOR = 90

_COLOURS = {"u": 0.45, "g": 0.9, "r": 1.0, "i": 0.95, "z": 0.8, "y": 0.7}
_SURVEY_DAYS = 60.0
_RISE_DAYS = 9.0
_DECLINE_DAYS = 25.0


@dataclass(frozen=True, slots=True)
class Population:
    """Sources of light, one position of each array for one of them.

    Attributes
    ----------
    kind
        0 RR Lyrae star, 1 supernova, 2 active galactic nucleus.
    ra_deg, dec_deg
        ICRS.
    amplitude_njy, template_njy
        Size of the variation and flux in the template image, r band.
    period_days, phase
        Of the variation; for a supernova ``phase`` is when it peaks, as a fraction of the survey.
    asteroid_ra_deg, asteroid_dec_deg, asteroid_rate_deg
        Asteroids at the start, and their motion in RA a day.
    asteroid_flux_njy
        Their flux, r band.
    """

    kind: npt.NDArray[np.int64]
    ra_deg: Floats
    dec_deg: Floats
    amplitude_njy: Floats
    template_njy: Floats
    period_days: Floats
    phase: Floats
    asteroid_ra_deg: Floats
    asteroid_dec_deg: Floats
    asteroid_rate_deg: Floats
    asteroid_flux_njy: Floats


def make_population(objects: int, asteroids: int, seed: int) -> Population:
    """Return a sky with a number of variable objects and of asteroids; the same for the same seed."""
    rng = np.random.default_rng(seed)
    # The first few are one of each kind, bright: a plot of them shows a light curve.
    kind = np.concatenate([np.arange(3), rng.choice(3, size=max(objects - 3, 0), p=[0.4, 0.2, 0.4])])[
        :objects
    ]
    brightness = 10 ** rng.uniform(3.1, 4.4, objects)
    brightness[:3] = 12_000.0
    return Population(
        kind=kind,
        ra_deg=_spread(rng, objects, CENTRE_RA_DEG, CENTRE_DEC_DEG),
        dec_deg=CENTRE_DEC_DEG + rng.uniform(-_HALF_WIDTH_DEG, _HALF_WIDTH_DEG, objects),
        amplitude_njy=brightness,
        template_njy=np.where(kind == 1, brightness * 0.2, brightness * rng.uniform(1.2, 4.0, objects)),
        period_days=np.where(kind == 2, rng.uniform(15.0, 45.0, objects), rng.uniform(0.4, 0.8, objects)),
        phase=np.where(np.arange(objects) < 3, 0.35, rng.uniform(0.0, 1.0, objects)),
        asteroid_ra_deg=_spread(rng, asteroids, CENTRE_RA_DEG, CENTRE_DEC_DEG),
        asteroid_dec_deg=CENTRE_DEC_DEG + rng.uniform(-_HALF_WIDTH_DEG, _HALF_WIDTH_DEG, asteroids),
        asteroid_rate_deg=rng.uniform(0.1, 0.3, asteroids),
        asteroid_flux_njy=10 ** rng.uniform(3.4, 4.2, asteroids),
    )


def difference_flux_njy(population: Population, visit: Visit, start_mjd_tai: float) -> Floats:
    """Return the true flux of each object on the difference image of a visit, nJy."""
    days = visit.midpoint_mjd_tai - start_mjd_tai
    phase = (days / population.period_days + population.phase) % 1.0
    # A steep rise and a slow decline, with mean zero: what is left when a template is subtracted.
    pulsation = np.exp(-3.0 * phase) - (1.0 - np.exp(-3.0)) / 3.0
    since_peak = days - population.phase * _SURVEY_DAYS
    width = np.where(since_peak < 0.0, _RISE_DAYS, _DECLINE_DAYS)
    explosion = np.exp(-np.abs(since_peak) / width)
    wander = np.sin(2 * np.pi * phase) * 0.6 + 0.4 * np.sin(5.3 * np.pi * phase + 1.0)
    shape = np.choose(population.kind, [pulsation, explosion, wander])
    flux: Floats = population.amplitude_njy * shape * _COLOURS[visit.band]
    return flux


def detector_of(ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.int64]:
    """Return the detector on which each position falls, of nine."""
    width = 2 * _HALF_WIDTH_DEG / _DETECTORS_A_SIDE
    column = (ra_deg - CENTRE_RA_DEG) * np.cos(np.radians(CENTRE_DEC_DEG)) + _HALF_WIDTH_DEG
    row = dec_deg - CENTRE_DEC_DEG + _HALF_WIDTH_DEG
    cells = [np.clip(place // width, 0, _DETECTORS_A_SIDE - 1).astype(np.int64) for place in (row, column)]
    return _FIRST_DETECTOR + cells[0] * _DETECTORS_A_SIDE + cells[1]


def _spread(rng: np.random.Generator, number: int, ra_deg: float, dec_deg: float) -> Floats:
    """Return right ascensions that cover the field evenly."""
    half = _HALF_WIDTH_DEG / float(np.cos(np.radians(dec_deg)))
    return ra_deg + rng.uniform(-half, half, number)
