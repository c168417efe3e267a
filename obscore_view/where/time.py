"""Times as Butler writes and stores them: nanoseconds of TAI since 1970-01-01 00:00:00 TAI.

Dates from 1972 on, and MJD in TAI, are plain arithmetic. Other formats, scales and years go through astropy,
which only those need.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tapdb.extras import from_extra

if TYPE_CHECKING:
    from astropy.time import Time


LEAP_SECONDS = (
    *("1972-07-01", "1973-01-01", "1974-01-01", "1975-01-01", "1976-01-01", "1977-01-01", "1978-01-01"),
    *("1979-01-01", "1980-01-01", "1981-07-01", "1982-07-01", "1983-07-01", "1985-07-01", "1988-01-01"),
    *("1990-01-01", "1991-01-01", "1992-07-01", "1993-07-01", "1994-07-01", "1996-01-01", "1997-07-01"),
    *("1999-01-01", "2006-01-01", "2009-01-01", "2012-07-01", "2015-07-01", "2017-01-01"),
)
"""First days after a leap second; ``tapdb.tai_minus_utc`` has the same."""

_NS = 1_000_000_000
_NS_PER_DAY = 86_400 * _NS
_MJD_OF_EPOCH = 40_587
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - of TAI or of UTC, as the case may be
_END_NS = (dt.datetime(2100, 1, 1) - _EPOCH).days * _NS_PER_DAY  # noqa: DTZ001
_OFFSET_1972 = 10
# Days and times of UTC as nanoseconds from the epoch on its own clock, which leap seconds do not count in.
_UTC_1972 = (dt.datetime(1972, 1, 1) - _EPOCH).days * _NS_PER_DAY  # noqa: DTZ001
_LEAPS_UTC = [(dt.datetime.fromisoformat(day) - _EPOCH).days * _NS_PER_DAY for day in LEAP_SECONDS]
_LEAPS_TAI = [ns + (_OFFSET_1972 + number) * _NS for number, ns in enumerate(_LEAPS_UTC, 1)]

# [format/]value[/scale]; the form of the value tells the format where none is given.
_TIME = re.compile(
    r"""(?:(?P<format>\w+)/)?
    (?P<value>
        (?P<mjd>-?(?:\d+\.\d*|\.\d+))
        |(?P<iso>\d+-\d+-\d+(?:[ Tt]\d+:\d+(?::\d+(?:\.\d*)?)?)?)
        |(?P<fits>\+\d+-\d+-\d+(?:T\d+:\d+:\d+(?:\.\d*)?)?)
        |(?P<yday>\d+:\d+(?::\d+:\d+(?::\d+(?:\.\d*)?)?)?)
    )
    (?:/(?P<scale>\w+))?""",
    re.VERBOSE | re.ASCII,
)
_DATE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:(?P<separator>.)(?P<time>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d*))?)?",
    re.ASCII,
)
_UTC_FORMATS = frozenset({"iso", "isot", "fits", "yday", "unix"})


def parse_time_tai_ns(text: str) -> int:
    """Return the time that the text between the quotes of ``T'...'`` means, in TAI nanoseconds.

    Dates are UTC unless they say otherwise (``2025-11-02T00:00:00/tai``), numbers are MJD in TAI.

    Raises
    ------
    ValueError
        Raised if the text is no time.
    """
    found = _TIME.fullmatch(text.replace("+00:00", ""))
    if found is None:
        raise ValueError("expected a time such as 2025-11-02T01:30:00, 60981.5 or mjd/60981.5/tai")
    form = found["format"].lower() if found["format"] else _form(found)
    scale = found["scale"].lower() if found["scale"] else _scale(form)
    plain = _plain_tai_ns(found, form, scale)
    return _cut(plain) if plain is not None else _by_astropy(text, found, form, scale)


def as_tai_ns(time: object) -> int:
    """Return a time in TAI nanoseconds.

    Parameters
    ----------
    time
        A time of astropy, a `datetime.datetime` (UTC if it has no zone) or a date (its midnight in UTC).

    Raises
    ------
    TypeError
        Raised if it is something else.
    """
    match time:
        case dt.datetime():
            naive = time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)
        case dt.date():
            naive = dt.datetime.combine(time, dt.time())
        case _:
            # Nobody has a time of astropy without having imported it.
            astropy_time = sys.modules.get("astropy.time")
            if astropy_time is None or not isinstance(time, astropy_time.Time):
                raise TypeError(f"expected a time, found {time!r}")
            return _tai_ns(time)
    plain = _tai_of_utc_ns((naive - _EPOCH) // dt.timedelta(microseconds=1) * 1000)
    return _cut(plain) if plain is not None else _tai_ns(_astropy_time()(naive, scale="utc"))


def utc_of_tai_ns(ns: int) -> dt.datetime:
    """Return TAI nanoseconds as UTC without zone, to the microsecond."""
    if ns < _UTC_1972 + _OFFSET_1972 * _NS:
        days, rest = divmod(ns, _NS_PER_DAY)
        jd_of_epoch = 2_440_587.5
        with _far_future():
            time = _astropy_time()(jd_of_epoch + days, rest / _NS_PER_DAY, format="jd", scale="tai")
            utc: dt.datetime = time.utc.to_datetime()
        return utc
    utc_ns = ns - (_OFFSET_1972 + bisect_right(_LEAPS_TAI, ns)) * _NS
    return _EPOCH + dt.timedelta(microseconds=round(utc_ns / 1000))


def _plain_tai_ns(found: re.Match[str], form: str, scale: str) -> int | None:
    """Return a time that needs no astropy; `None` if it does."""
    if form == "mjd" and scale == "tai" and found["mjd"] is not None:
        # The number that Butler takes it for, not the decimal that was written.
        return round((Fraction(float(found["mjd"])) - _MJD_OF_EPOCH) * _NS_PER_DAY)
    if form not in {"iso", "isot"} or scale not in {"utc", "tai"}:
        return None
    written = _DATE.fullmatch(found["value"])
    if written is None or written["separator"] not in {None, " " if form == "iso" else "T"}:
        return None
    try:
        whole = dt.datetime.fromisoformat(f"{written['day']}T{written['time'] or '00:00'}")
    except ValueError:
        return None
    fraction = round(Fraction(f"0.{written['fraction'] or 0}") * _NS)
    ns = (whole - _EPOCH) // dt.timedelta(seconds=1) * _NS + fraction
    return ns if scale == "tai" else _tai_of_utc_ns(ns)


def _tai_of_utc_ns(ns: int) -> int | None:
    """Return the time of a clock of UTC in TAI; `None` before 1972, when seconds had other lengths."""
    if ns < _UTC_1972:
        return None
    return ns + (_OFFSET_1972 + bisect_right(_LEAPS_UTC, ns)) * _NS


def _cut(ns: int) -> int:
    """Return TAI nanoseconds cut to the years 1970 to 2099, as Butler does."""
    return min(max(ns, 0), _END_NS)


def _by_astropy(text: str, found: re.Match[str], form: str, scale: str) -> int:
    time_class = _astropy_time()
    if form not in time_class.FORMATS or scale not in time_class.SCALES:
        raise ValueError(f"no format {form} with scale {scale} is known")
    value: str | float = found["value"] if found["mjd"] is None else float(found["value"])
    try:
        with _far_future():
            time = time_class(value, format=form, scale=scale)
    except ValueError:
        raise ValueError(f"{text} is no time of format {form} with scale {scale}") from None
    return _tai_ns(time)


def _tai_ns(time: Time) -> int:
    with _far_future():
        elapsed = time.tai - _astropy_time()("1970-01-01", scale="tai")
    whole, rest = divmod(elapsed.jd1, 1)
    return _cut(int(whole) * _NS_PER_DAY + round(float(rest + elapsed.jd2) * _NS_PER_DAY))


def _astropy_time() -> Any:
    with from_extra("astropy", "times before 1972, or in a rare format or scale"):
        from astropy.time import Time  # noqa: PLC0415 - slow to load, and seldom needed
    return Time


@contextmanager
def _far_future() -> Iterator[None]:
    """Take times in the future without a warning: "dubious years" to ERFA, which lacks leap seconds."""
    from astropy.utils.exceptions import AstropyWarning  # noqa: PLC0415 - as above
    from erfa import ErfaWarning  # type: ignore[import-untyped]  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=AstropyWarning)
        warnings.simplefilter("ignore", category=ErfaWarning)
        yield


def _form(found: re.Match[str]) -> str:
    if found["mjd"] is not None:
        return "mjd"
    if found["iso"] is not None:
        return "isot" if "t" in found["iso"].lower() else "iso"
    return "fits" if found["fits"] is not None else "yday"


def _scale(form: str) -> str:
    if form in _UTC_FORMATS:
        return "utc"
    return "tt" if form == "cxcsec" else "tai"
