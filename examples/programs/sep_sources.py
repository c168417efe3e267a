"""Find sources in the plane IMAGE of a FITS file with sep: ``python3 sep_sources.py IMAGE OUTPUT.csv``."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import sep
from astropy.io import fits

_COLUMNS = ("x", "y", "flux", "npix", "flag")
_THRESHOLD = 5.0


def main(image: str, output: str) -> None:
    """Write the catalogue."""
    # sep wants the byte order of the machine.
    data = fits.getdata(image, extname="IMAGE").astype(np.float32)
    background = sep.Background(data)
    objects = sep.extract(data - background, _THRESHOLD, err=background.globalrms)
    with Path(output).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        writer.writerows([one[name] for name in _COLUMNS] for one in objects)
    print(f"{len(objects)} sources")


if __name__ == "__main__":
    main(*sys.argv[1:])
