"""A query and its snapshot in one word: the address of a record that nobody has stored.

A service keeps nothing of the results that it sends.
What a record follows from stands in the word itself, which is part of a URL: natural query, snapshot, MAXREC
and the like; the record is made again from it. The word is no secret and no proof: a digest is proof.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from adql.dialect import dialect_named
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.snapshot import Snapshot
from tap_query.recording import RecordedRelease

MARK = "~"
"""First character of such a word; no identifier of a stored query begins with it."""

_MOST_BYTES = 2**20
_SMALLEST = 9


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a record without uploads follows from.

    Parameters
    ----------
    natural
        The query as it was sent.
    snapshot
        What the tables were.
    max_rows
        MAXREC; `None` for all rows.
    exact_sums
        Whether floating-point numbers are added up in a fixed order.
    dialect
        Dialect of ADQL.
    release
        What decided which rows were seen.
    """

    natural: str
    snapshot: Snapshot
    max_rows: int | None = None
    exact_sums: bool = False
    dialect: str = "rubin"
    release: RecordedRelease = field(default_factory=RecordedRelease)

    @classmethod
    def of_record(cls, record: ReplayRecord) -> Recipe:
        """Return the recipe of a record."""
        return cls(
            record.natural,
            record.snapshot,
            record.max_rows,
            record.exact_sums,
            record.dialect,
            RecordedRelease(record.release_instant, record.release_groups),
        )

    @property
    def request(self) -> Request:
        """How the query is answered."""
        return Request(self.max_rows, self.exact_sums, dialect_named(self.dialect))

    def to_word(self) -> str:
        """Return the word, of characters that a URL has as they are (RFC 3986 section 2.3)."""
        snapshot = self.snapshot
        content: list[object] = [
            self.natural,
            snapshot.snapshot_id,
            snapshot.t_mjd_tai,
            self.max_rows,
            self.exact_sums,
            self.dialect,
        ]
        if self.release.instant:
            content += [self.release.instant, self.release.groups]
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        packed = zlib.compress(text.encode(), _SMALLEST)
        return MARK + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def from_word(cls, word: str) -> Recipe:
        """Return what a word means.

        Raises
        ------
        ReplayRecordError
            It is no such word: a part of it may be missing.
        """
        letters = word.removeprefix(MARK)
        try:
            packed = base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True)
            unpack = zlib.decompressobj()
            text = unpack.decompress(packed, _MOST_BYTES)
            if not unpack.eof or unpack.unused_data:
                raise ReplayRecordError("the address of a record was cut or is too long")
            content = _CONTENT.validate_json(text, strict=True)
            natural, number, time, max_rows, exact_sums, dialect = content[:6]
            release = RecordedRelease(*content[6:]) if len(content) == _DATED else RecordedRelease()
            dialect_named(dialect)
        except (
            binascii.Error,
            UnicodeEncodeError,
            zlib.error,
            ValidationError,
            KeyError,
            ValueError,
        ) as error:
            if isinstance(error, ReplayRecordError):
                raise
            raise ReplayRecordError("the address of a record was cut or changed: it cannot be read") from None
        return cls(natural, Snapshot(number, time), max_rows, exact_sums, dialect, release)


_Number = Annotated[int, Field(ge=0, lt=2**63)]
# Times that a date can be made of.
_Time = Annotated[float, Field(ge=0, lt=2_973_484, allow_inf_nan=False)]
_Instant = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z$")]
_Plain = tuple[str, _Number, _Time, _Number | None, bool, str]
_DATED = 8
_Dated = tuple[str, _Number, _Time, _Number | None, bool, str, _Instant, tuple[str, ...]]
_CONTENT: TypeAdapter[_Plain | _Dated] = TypeAdapter(_Plain | _Dated)
