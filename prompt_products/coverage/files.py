"""MOCs as files: FITS, JSON and ASCII (MOC 2.0), and space-time MOCs, written by mocpy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_products.coverage.reading import ORDER, CoverageRow, Ranges, united
from tapdb.extras import from_extra

if TYPE_CHECKING:
    from mocpy import MOC, STMOC

FORMATS = ("fits", "json", "ascii", "stmoc")
"""Formats of coverage: a MOC, or (stmoc) a space-time MOC in FITS."""

EXTRA = "coverage"
"""Extra of tapdb with what reads and draws MOCs."""

_TIME_ORDER = 41
"""Order of times in a space-time MOC: 1.1 seconds (MOC 2.0 section 3.2)."""


def sky_moc(ranges: Ranges) -> "MOC":
    """Return ranges of cells as a MOC of mocpy.

    Raises
    ------
    MissingExtraError
        Raised if mocpy is not installed.
    """
    with from_extra(EXTRA, "coverage as a MOC"):
        import numpy as np  # noqa: PLC0415
        from mocpy import MOC  # noqa: PLC0415

    cells = np.array(ranges, dtype=np.uint64).reshape(-1, 2)
    return MOC.from_depth29_ranges(ORDER, cells)


def space_time_moc(rows: Sequence[CoverageRow]) -> "STMOC":
    """Return rows of coverage as a space-time MOC: the sky of each, from its first to its last observation.

    Rows without a time are left out.

    Raises
    ------
    MissingExtraError
        Raised if mocpy is not installed.
    """
    with from_extra(EXTRA, "coverage as a space-time MOC"):
        from astropy.time import Time  # noqa: PLC0415
        from mocpy import STMOC  # noqa: PLC0415

    timed = [row for row in rows if row.t_min is not None and row.t_max is not None]
    # MOC 2.0 counts microseconds of TCB; mocpy takes Time in any scale.
    starts = Time([row.t_min for row in timed], format="mjd", scale="utc").tcb
    ends = Time([row.t_max for row in timed], format="mjd", scale="utc").tcb
    skies = [sky_moc(row.ranges) for row in timed]
    return STMOC.from_spatial_coverages(starts, ends, skies, time_depth=_TIME_ORDER)


def moc_bytes(rows: Sequence[CoverageRow], form: str) -> bytes:
    """Return the sky that rows cover together, as a file.

    Parameters
    ----------
    rows
        Rows of coverage.
    form
        One of `FORMATS`.

    Raises
    ------
    MissingExtraError
        Raised if mocpy is not installed.
    """
    moc: Any = space_time_moc(rows) if form == "stmoc" else sky_moc(united(rows))
    if form in {"fits", "stmoc"}:
        return _fits(moc)
    text: str = moc.to_string(format="json" if form == "json" else "ascii")
    return f"{text.rstrip()}\n".encode()


def _fits(moc: Any) -> bytes:
    """Return a MOC as FITS; mocpy writes it to a file by its name alone."""
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="tapdb-coverage-") as folder:
        path = Path(folder) / "moc.fits"
        moc.save(str(path), format="fits")
        return path.read_bytes()
