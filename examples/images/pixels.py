"""What a detector sees of stars: an image with mask and variance, and a FITS file of the three.

Pixels are coarse, 4 arcsec, so that files are small and still cover their detector's region on the sky.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS

from ..lsstcam.camera import Detector
from ..lsstcam.content import Pointing
from .stars import Star

__all__ = [
    "HEIGHT",
    "NOISE_NJY",
    "PSF_SIGMA_PIXELS",
    "WIDTH",
    "Image",
    "plane_header",
    "render",
    "write_fits",
]

WIDTH, HEIGHT = 204, 200
PSF_SIGMA_PIXELS = 1.4
NOISE_NJY = 15.0
_GAIN_NJY = 5.0
_STAMP = 9
_BAD_COLUMN, _EDGE = 77, 2
_BAD, _EDGE_BIT = 1, 2


@dataclass(frozen=True, slots=True)
class Image:
    """Three planes and the truth of what is in them.

    Attributes
    ----------
    image, mask, variance
        Flux of each pixel in nJy; bits of the mask, 0 for bad pixels and 1 for edges; variance in nJy2.
    header
        Sky projection (TAN) and what the observation was.
    truth
        Number, position in the image (0-based centre of the first pixel) and flux in nJy of each star whose
        centre is in it.
    """

    image: npt.NDArray[np.float32]
    mask: npt.NDArray[np.int32]
    variance: npt.NDArray[np.float32]
    header: fits.Header
    truth: tuple[tuple[int, float, float, float], ...]


def plane_header(pointing: Pointing, chip: Detector, band: str) -> fits.Header:
    """Return the sky projection of a detector: its corners are those of its ``visit_detector_region``.

    Parameters
    ----------
    pointing
        Boresight, rotation, time.
    chip
        The detector.
    band
        Band of the filter.
    """
    scale_x, scale_y = math.degrees(chip.width_rad) / WIDTH, math.degrees(chip.height_rad) / HEIGHT
    angle = math.radians(pointing.rotation_deg)
    header = fits.Header()
    header["RADESYS"] = "ICRS"
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
    header["CRVAL1"], header["CRVAL2"] = pointing.ra_deg, pointing.dec_deg
    header["CRPIX1"] = (WIDTH + 1) / 2 - math.degrees(chip.x_rad) / scale_x
    header["CRPIX2"] = (HEIGHT + 1) / 2 - math.degrees(chip.y_rad) / scale_y
    header["CD1_1"], header["CD1_2"] = scale_x * math.cos(angle), scale_y * math.sin(angle)
    header["CD2_1"], header["CD2_2"] = -scale_x * math.sin(angle), scale_y * math.cos(angle)
    begin = Time(pointing.begin_tai_ns / 1e9, format="unix_tai", scale="tai")
    header["TIMESYS"], header["DATE-BEG"], header["MJD-BEG"] = "TAI", begin.isot, begin.mjd
    header["EXPTIME"] = pointing.exposure_time_s
    header["INSTRUME"], header["DETECTOR"] = pointing.instrument, chip.id
    header["VISIT"], header["BAND"], header["FILTER"] = pointing.id, band, pointing.physical_filter
    header["PSFSIGMA"] = (PSF_SIGMA_PIXELS, "Gaussian, pixels")
    return header


def render(pointing: Pointing, chip: Detector, band: str, stars: Iterable[Star]) -> Image:
    """Return what a detector sees; noise is the same at every run.

    Parameters
    ----------
    pointing
        When, and where to the telescope looks.
    chip
        The detector.
    band
        Band of the filter.
    stars
        What is on the sky; stars outside of the image add nothing.
    """
    stars = tuple(stars)
    header = plane_header(pointing, chip, band)
    world = np.array([(star.ra_deg, star.dec_deg) for star in stars]).reshape(-1, 2)
    places = WCS(header).all_world2pix(world, 0)
    middle = header["MJD-BEG"] + pointing.exposure_time_s / 2 / 86400
    flux = np.zeros((HEIGHT, WIDTH))
    truth = []
    for star, (x, y) in zip(stars, places, strict=True):
        if not (-_STAMP < x < WIDTH + _STAMP and -_STAMP < y < HEIGHT + _STAMP):
            continue
        njy = star.flux_njy(band, middle)
        _add_star(flux, float(x), float(y), njy)
        if -0.5 <= x < WIDTH - 0.5 and -0.5 <= y < HEIGHT - 0.5:
            truth.append((star.id, float(x), float(y), njy))
    variance = NOISE_NJY**2 + flux * _GAIN_NJY
    random = np.random.default_rng((pointing.id, chip.id))
    image = flux + random.normal(0.0, 1.0, flux.shape) * np.sqrt(variance)
    mask = np.zeros(flux.shape, dtype=np.int32)
    mask[:, _BAD_COLUMN] |= _BAD
    for edge in (np.s_[:_EDGE], np.s_[-_EDGE:], np.s_[:, :_EDGE], np.s_[:, -_EDGE:]):
        mask[edge] |= _EDGE_BIT
    return Image(image.astype(np.float32), mask, variance.astype(np.float32), header, tuple(truth))


def write_fits(image: Image, path: Path) -> None:
    """Write an image as a plain FITS file: an empty primary HDU, then IMAGE, MASK and VARIANCE."""
    planes = (("IMAGE", image.image, "nJy"), ("MASK", image.mask, None), ("VARIANCE", image.variance, "nJy2"))
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for name, data, unit in planes:
        hdu = fits.ImageHDU(data, header=image.header.copy(), name=name)
        if unit is not None:
            hdu.header["BUNIT"] = unit
        else:
            hdu.header["MP_BAD"], hdu.header["MP_EDGE"] = 0, 1
        hdus.append(hdu)
    hdus.writeto(path)


def _add_star(flux: npt.NDArray[np.float64], x: float, y: float, njy: float) -> None:
    """Add a Gaussian integrated over pixels, so that the sum of its pixels is its flux."""
    width = PSF_SIGMA_PIXELS * math.sqrt(2)
    shares = []
    for centre, size in ((y, flux.shape[0]), (x, flux.shape[1])):
        low = max(round(centre) - _STAMP, 0)
        high = min(round(centre) + _STAMP + 1, size)
        if low >= high:
            return
        edges = [math.erf((edge - 0.5 - centre) / width) / 2 for edge in range(low, high + 1)]
        shares.append((low, high, np.diff(edges)))
    (y0, y1, rows), (x0, x1, columns) = shares
    flux[y0:y1, x0:x1] += njy * np.outer(rows, columns)
