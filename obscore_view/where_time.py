"""Times as Butler writes and stores them: nanoseconds of TAI since 1970-01-01 00:00:00 TAI."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from astropy.time import Time
from astropy.utils.exceptions import AstropyWarning
from erfa import ErfaWarning  # type: ignore[import-untyped]

__all__ = ["as_tai_ns", "parse_time_tai_ns", "tai_ns", "utc_of_tai_ns"]

_NS_PER_DAY = 86_400_000_000_000
_EPOCH = Time("1970-01-01", scale="tai")
_END = Time("2100-01-01", scale="tai")

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
    value: str | float = found["value"]
    form = found["format"].lower() if found["format"] else _form(found)
    scale = found["scale"].lower() if found["scale"] else _scale(form)
    if form not in Time.FORMATS or scale not in Time.SCALES:
        raise ValueError(f"no format {form} with scale {scale} is known")
    if found["mjd"] is not None:
        value = float(value)
    try:
        with _far_future():
            time = Time(value, format=form, scale=scale)
    except ValueError:
        raise ValueError(f"{text} is no time of format {form} with scale {scale}") from None
    return tai_ns(time)


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
        case Time():
            return tai_ns(time)
        case dt.datetime():
            return tai_ns(Time(time, scale="utc"))
        case dt.date():
            return tai_ns(Time(dt.datetime.combine(time, dt.time(), dt.UTC), scale="utc"))
        case _:
            raise TypeError(f"expected a time, found {time!r}")


def tai_ns(time: Time) -> int:
    """Return a time in TAI nanoseconds, cut to the years 1970 to 2099 as Butler does."""
    with _far_future():
        tai = min(max(time.tai, _EPOCH), _END)
        elapsed = tai - _EPOCH
    whole, rest = divmod(elapsed.jd1, 1)
    return int(whole) * _NS_PER_DAY + round(float(rest + elapsed.jd2) * _NS_PER_DAY)


def utc_of_tai_ns(ns: int) -> dt.datetime:
    """Return TAI nanoseconds as UTC without zone, to the microsecond."""
    days, rest = divmod(ns, _NS_PER_DAY)
    time = Time(_EPOCH.jd1 + days, _EPOCH.jd2 + rest / _NS_PER_DAY, format="jd", scale="tai")
    with _far_future():
        utc: dt.datetime = time.utc.to_datetime()
    return utc


@contextmanager
def _far_future() -> Iterator[None]:
    """Take times in the future without a warning: "dubious years" to ERFA, which lacks leap seconds."""
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
