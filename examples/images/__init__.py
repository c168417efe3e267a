"""A small Butler repository of images with pixels: plain FITS, a sky projection, stars of known flux.

Read `stars` (what is on the sky), `pixels` (what a detector sees of it), `repository` (files in a Butler).
"""

from __future__ import annotations

from .pixels import Image, plane_header, render, write_fits
from .repository import OBSCORE_CONFIG, SURVEY, ImageRepository, ImageSurvey, make_image_repository
from .stars import Star, make_stars

__all__ = [
    "OBSCORE_CONFIG",
    "SURVEY",
    "Image",
    "ImageRepository",
    "ImageSurvey",
    "Star",
    "make_image_repository",
    "make_stars",
    "plane_header",
    "render",
    "write_fits",
]
