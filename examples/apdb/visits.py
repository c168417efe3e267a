"""Visits of a small survey: when, in which band, and when they were processed; the same at every run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from astropy.time import Time

__all__ = ["Visit", "make_visit", "tai"]

_START_MJD_TAI = 61_041.05
_VISITS_PER_NIGHT = 4
_NIGHTS_BETWEEN = 3
_MINUTES_BETWEEN_VISITS = 4.0
_PROCESSING_MINUTES = 1.5
_BANDS = "rigzu"
_FLUX_ERROR_NJY = {"u": 190.0, "g": 75.0, "r": 95.0, "i": 150.0, "z": 260.0, "y": 560.0}
_MINUTES_PER_DAY = 1440.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of the field.

    Attributes
    ----------
    number
        Position in the survey, from 0.
    id
        Night (YYYYMMDD) and number in it, as in the Butler.
    midpoint_mjd_tai
        Middle of the exposure.
    processed_mjd_tai
        When the Alert Production stored it: start of validity of what it stores, and what tells its chunk.
    """

    number: int
    id: int
    band: str
    midpoint_mjd_tai: float
    processed_mjd_tai: float

    @property
    def flux_error_njy(self) -> float:
        """Noise of a flux measured for a point source on the difference image, nJy."""
        return _FLUX_ERROR_NJY[self.band]

    def processed(self, minutes_later: float) -> Visit:
        """Return the same visit, processed some minutes later."""
        return replace(self, processed_mjd_tai=self.processed_mjd_tai + minutes_later / _MINUTES_PER_DAY)


def make_visit(number: int) -> Visit:
    """Return a visit by its position in the survey: four a night, four minutes apart, every third night.

    With replica chunks of ten minutes a night has two or three chunks.
    """
    night, in_night = divmod(number, _VISITS_PER_NIGHT)
    minutes = in_night * _MINUTES_BETWEEN_VISITS
    midpoint = _START_MJD_TAI + _NIGHTS_BETWEEN * night + minutes / _MINUTES_PER_DAY
    day = Time(_START_MJD_TAI + _NIGHTS_BETWEEN * night - 0.5, format="mjd", scale="tai")
    return Visit(
        number=number,
        id=int(day.strftime("%Y%m%d")) * 100_000 + in_night + 1,
        # The band changes within a night, so that each light curve has colours.
        band=_BANDS[(night + in_night // 2) % len(_BANDS)],
        midpoint_mjd_tai=midpoint,
        processed_mjd_tai=midpoint + _PROCESSING_MINUTES / _MINUTES_PER_DAY,
    )


def tai(mjd: float) -> Time:
    """Return a time from a Modified Julian Date, TAI."""
    return Time(mjd, format="mjd", scale="tai")
