"""A snapshot, what the PPDB was after one of its transactions; and its time in the words of astronomers.

Numbers are TAI unless they say UTC, dates are UTC unless they say TAI (DALI 1.1 section 3.3.3).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from warnings import catch_warnings, simplefilter

from pydantic import FiniteFloat

from tap_query.errors import SnapshotParameterError
from tapdb.extras import from_extra

# `snap_to` of a row that no transaction has replaced yet: the largest bigint, so that one comparison tells.
CURRENT = 9223372036854775807

_JD_ZERO = Decimal("2400000.5")
_SMALLEST_JD = 2_000_000
_MJD_ZERO = datetime(1858, 11, 17)  # noqa: DTZ001 - TAI, which is no time zone
_MICROSECOND = timedelta(microseconds=1)
_DECIMAL = r"[0-9]{1,7}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}"
_SCALE = r"(?P<scale>Z| ?TAI| ?UTC)?"
_NUMBER = re.compile(
    rf"(?P<kind>M?JD)? ?(?P<value>{_DECIMAL}){_SCALE.replace('Z|', '')}", re.IGNORECASE | re.ASCII
)
_ISO = re.compile(
    rf"(?P<value>\d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{{1,12}})?)?)?){_SCALE}",
    re.IGNORECASE | re.ASCII,
)
_SNAPSHOT = re.compile(r"[0-9]{1,18}")
_FORMS = (
    "give its number, such as 41; a time in MJD (TAI) with a decimal point, such as 61041.25, or as "
    "MJD61041.25 or JD2461041.75; or an ISO "
    "time, such as 2026-01-01T00:00:00Z (UTC) or 2026-01-01T00:00:00 TAI"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the PPDB.

    Parameters
    ----------
    snapshot_id
        Number of the transaction that made it; transactions are numbered in the order of their commits.
    t_mjd_tai
        When that transaction took the clock: MJD, TAI. Strictly increasing with `snapshot_id`.
    """

    snapshot_id: int
    t_mjd_tai: FiniteFloat


def parse_when(text: str, *, name: str = "PPDB_SNAPSHOT") -> int | float:
    """Return the number of a snapshot, or the time (MJD, TAI), that a text means.

    Parameters
    ----------
    text
        Digits alone are a number. With a decimal point or ``MJD`` before it, a number is a time in MJD, after
        ``JD`` in JD: TAI, unless ``UTC`` follows. ISO 8601 is UTC as in DALI 1.1 section 3.3.3, TAI if it
        ends so.
    name
        What gave the text: a parameter or an option.

    Raises
    ------
    SnapshotParameterError
        Raised if it is neither.
    """
    text = text.strip()
    if _SNAPSHOT.fullmatch(text):
        return int(text)
    if (found := _NUMBER.fullmatch(text)) is not None:
        value, kind = Decimal(found["value"]), (found["kind"] or "").upper()
        if not kind and value >= _SMALLEST_JD:
            raise SnapshotParameterError(
                text, f"it is no MJD before the year 7300; if it is a JD write JD{text}", _FORMS, name
            )
        mjd = value - _JD_ZERO if kind == "JD" else value
        return float(mjd) if _scale(found) != "utc" else _tai_of(str(mjd), "mjd", text, name)
    if (found := _ISO.fullmatch(text)) is None:
        raise SnapshotParameterError(text, "it is neither a number nor a time", _FORMS, name)
    given = found["value"].upper()
    if _scale(found) != "tai":
        return _tai_of(given, "isot" if "T" in given else "iso", text, name)
    try:
        since = datetime.fromisoformat(given[:26]) - _MJD_ZERO
    except ValueError:
        raise _no_time(text, name) from None
    return since / timedelta(days=1)


def said_time(t_mjd_tai: float) -> str:
    """Return a time as `parse_when` takes it: ISO in TAI and, if astropy is installed, in UTC; MJD and JD.

    ISO times are rounded up to the microsecond: the snapshot of the time is the newest one at each of them.

    Parameters
    ----------
    t_mjd_tai
        MJD, TAI.
    """
    said = [f"{iso_tai(t_mjd_tai)} TAI"]
    if find_spec("astropy") is not None:
        said.append(f"{_iso_utc(t_mjd_tai)}Z")
    return ", ".join((*said, f"MJD {t_mjd_tai!r} (TAI)", f"JD {Decimal(repr(t_mjd_tai)) + _JD_ZERO} (TAI)"))


def iso_tai(t_mjd_tai: float) -> str:
    """Return a time as ISO 8601 in TAI, rounded up to the microsecond.

    Parameters
    ----------
    t_mjd_tai
        MJD, TAI.
    """
    found = _MJD_ZERO + timedelta(days=t_mjd_tai)
    if (found - _MJD_ZERO) / timedelta(days=1) < t_mjd_tai:
        found += _MICROSECOND
    return found.isoformat(timespec="microseconds")


def _iso_utc(t_mjd_tai: float) -> str:
    from astropy.time import Time  # noqa: PLC0415  it takes its time to load

    with catch_warnings():
        # Nobody knows yet the leap seconds of a far year.
        simplefilter("ignore")
        found = Time(iso_tai(t_mjd_tai), format="isot", scale="tai", precision=6).utc
        if Time(found.isot, format="isot", scale="utc").tai.mjd < t_mjd_tai:
            # It counts in other steps: the last digit of a double may be another one.
            found += _MICROSECOND
        return str(found.isot)


def _scale(found: re.Match[str]) -> str:
    return (found["scale"] or "").strip().lower()


def _tai_of(value: str, form: str, text: str, name: str) -> float:
    """Return a time in UTC as MJD, TAI."""
    with from_extra("astropy", f"{name} in UTC"):
        # It knows the leap seconds, and takes its time to load.
        from astropy.time import Time  # noqa: PLC0415
    try:
        with catch_warnings():
            # Nobody knows yet the leap seconds of a far year; it is in the future all the same.
            simplefilter("ignore")
            return float(Time(value, format=form, scale="utc").tai.mjd)
    except ValueError:
        # What it says is for programmers.
        raise _no_time(text, name) from None


def _no_time(text: str, name: str) -> SnapshotParameterError:
    return SnapshotParameterError(text, "it is no time: there is no such day or hour", _FORMS, name)
