"""Which bytes of a file a request wants: conditions and ranges (RFC 9110 sections 13 and 14); pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.datastructures import Headers

from services.errors import RangeUnsatisfiableError

_RANGE = re.compile(r"(?P<first>\d*)[ \t]*-[ \t]*(?P<last>\d*)")
# More, and the client gets all of the file, as RFC 9110 section 14.2 lets a server do.
_MOST_RANGES = 50
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file, from `start` up to `end`, which is not among them."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells whether a client has a file already.

    Attributes
    ----------
    etag
        Strong entity tag, with its quotation marks.
    modified
        When the file was changed the last time.
    """

    etag: str
    modified: datetime

    @property
    def last_modified(self) -> str:
        """Value of the header Last-Modified."""
        return format_datetime(self.modified, usegmt=True)


def is_unchanged(headers: Headers, validators: Validators) -> bool:
    """Return whether the client has the file (RFC 9110 section 13.2.2): the answer is 304 then."""
    if tags := headers.getlist("if-none-match"):
        return any(_is_tag(one, validators.etag, weak=True) for one in ",".join(tags).split(","))
    since = _time(headers.get("if-modified-since", ""))
    return since is not None and validators.modified <= since


def is_refused(headers: Headers, validators: Validators) -> bool:
    """Return whether a client wants what the file no longer is (412: RFC 9110 section 13.2.2)."""
    if tags := headers.getlist("if-match"):
        return not any(_is_tag(one, validators.etag, weak=False) for one in ",".join(tags).split(","))
    since = _time(headers.get("if-unmodified-since", ""))
    return since is not None and validators.modified > since


def spans_of(headers: Headers, validators: Validators, size: int) -> Sequence[Span] | None:
    """Return the parts of a file that a request wants, in order and apart; `None` if it wants all of it.

    A header that cannot be read, has another unit or too many ranges is ignored, and so is one whose If-Range
    does not fit.

    Parameters
    ----------
    headers
        Headers of the request.
    validators
        What the file is at present.
    size
        Its bytes.

    Raises
    ------
    RangeUnsatisfiableError
        Raised if none of the ranges has a byte of the file.
    """
    unit, equals, text = headers.get("range", "").partition("=")
    if not equals or unit.strip().lower() != "bytes" or not _still_fits(headers.get("if-range"), validators):
        return None
    parts = [part for part in (one.strip(" \t") for one in text.split(",")) if part]
    if not parts or len(parts) > _MOST_RANGES:
        return None
    found = []
    for part in parts:
        matched = _RANGE.fullmatch(part)
        if matched is None or not matched["first"] + matched["last"]:
            return None
        first, last = _number(matched["first"]), _number(matched["last"])
        if first is not None and last is not None and last < first:
            return None
        if first is None:
            span = Span(max(0, size - (last or 0)), size)
        else:
            span = Span(first, size if last is None else min(last + 1, size))
        if span.size > 0:
            found.append(span)
    if not found:
        raise RangeUnsatisfiableError(size)
    return _apart(found)


def _apart(spans: Sequence[Span]) -> Sequence[Span]:
    """Return spans as they are if they are in order and do not touch; sorted and put together if not."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    # Only overlapping ranges are worth another order than the client's (RFC 9110 section 15.3.7.2).
    return list(spans) if len(joined) == len(spans) else joined


def _still_fits(condition: str | None, validators: Validators) -> bool:
    """Return whether the condition of If-Range holds, exactly (RFC 9110 section 13.1.5)."""
    if condition is None:
        return True
    text = condition.strip()
    if text.startswith(('"', "W/")):
        return text == validators.etag
    return _time(text) == validators.modified


def _is_tag(text: str, etag: str, *, weak: bool) -> bool:
    tag = text.strip()
    return tag in {"*", etag} or (weak and tag == f"W/{etag}")


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _number(text: str) -> int | None:
    # A number beyond all files is as good as one that Python converts without complaint.
    return None if not text else int(text) if len(text.lstrip("0")) <= _MOST_DIGITS else 10**_MOST_DIGITS
