"""The record of a result: all that replaying it and comparing the rows needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from adql import RUBIN, Dialect, OutputColumn
from adql.dialect import dialect_named
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.rewriting.classify import Guarantee
from ppdb_replay.snapshot import Snapshot

FORMAT = "tapdb-replay-record/1"
"""What a record in JSON says of itself."""

_DIGEST = "record_digest"
"""Key of JSON with the digest of all others: a record that was edited by hand has another one."""
_INSTANT = r"^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z$"
_RELEASE = ("release_instant", "release_groups")
_NEWER = "a newer release may have made it: upgrade tapdb"


@dataclass(frozen=True, slots=True)
class Request:
    """How to answer a query.

    Parameters
    ----------
    max_rows
        MAXREC: maximum number of rows; `None` for all.
    exact_sums
        Whether to add floating-point numbers up in a fixed order, which makes such sums repeatable.
    dialect
        Dialect of ADQL.
    """

    max_rows: int | None = None
    exact_sums: bool = False
    dialect: Dialect = RUBIN


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRecord:
    """What to keep of a result.

    Parameters
    ----------
    natural
        The query as it was sent.
    repeatable
        The same as of the snapshot: plain ADQL.
    snapshot
        What the tables were.
    snapshot_digest
        Digest of all versions that the tables had then, hexadecimal, of the chain that ``tapdb ppdb verify``
        follows; empty if it was not computed.
    schema_version
        Which columns they had.
    guarantee
        What is promised of a repetition.
    digest
        ``sha256:`` and the hexadecimal digest of columns and rows; see `ppdb_replay.replaying.digest`.
    columns
        The columns of the result, as a VOTable describes them.
    row_count
        Number of rows.
    max_rows
        MAXREC of the request; `None` if not limited.
    overflow
        Whether there were more rows than that.
    uploads
        Digests of the uploaded tables that the query names, by name.
    exact_sums
        Whether floating-point numbers were added up in a fixed order.
    dialect
        Dialect of ADQL in which both texts are read.
    software
        Name and version of the software that made the record.
    release_instant
        Instant at which release counted: UTC, ISO 8601; empty if all rows of the tables were for everybody.
    release_groups
        Roles through which rows were seen that were not released; none if the result was for everybody.
    """

    natural: str
    repeatable: str
    snapshot: Snapshot
    schema_version: str
    guarantee: Guarantee
    digest: str
    columns: tuple[OutputColumn, ...]
    row_count: int
    snapshot_digest: str = ""
    max_rows: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    overflow: bool = False
    uploads: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    exact_sums: bool = False
    dialect: str = "rubin"
    software: str = ""
    release_instant: Annotated[str, Field(pattern=_INSTANT)] = ""
    release_groups: tuple[str, ...] = ()

    @property
    def request(self) -> Request:
        """How the query was answered."""
        return Request(self.max_rows, self.exact_sums, dialect_named(self.dialect))

    def to_json(self, *, indent: int | None = 1) -> str:
        """Return the record as JSON, always the same for the same record; in one line without `indent`."""
        content = {of.name: getattr(self, of.name) for of in fields(self)}
        content |= {
            "snapshot": asdict(self.snapshot),
            "guarantee": asdict(self.guarantee),
            "columns": [_told(column) for column in self.columns],
            "uploads": dict(self.uploads),
            "format": FORMAT,
        }
        for name in _RELEASE:
            # Records of tables without rules are what they were before there were rules.
            if not content[name]:
                del content[name]
        content[_DIGEST] = _digest(content)
        return json.dumps(content, indent=indent, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ReplayRecord:
        """Return the record that a text holds.

        Raises
        ------
        ReplayRecordError
            It is no JSON, of another format, lacks something, or says what this release does not know.
        """
        content = _content(text)
        if (found := content.pop("format", None)) != FORMAT:
            said = "" if found is None else f", but {json.dumps(found)}; {_NEWER}"
            raise ReplayRecordError(f'it does not say "format": "{FORMAT}"{said}')
        content.pop(_DIGEST, None)
        try:
            record = _RECORDS.validate_json(json.dumps(content), strict=True, extra="forbid")
        except ValidationError as error:
            problems = "; ".join(map(_problem, error.errors()))
            raise ReplayRecordError(f"something is missing or of the wrong kind: {problems}") from None
        try:
            dialect_named(record.dialect)
        except KeyError:
            raise ReplayRecordError(f"it is in the dialect {record.dialect!r} of ADQL; {_NEWER}") from None
        return replace(record, uploads=MappingProxyType(dict(record.uploads)))


_RECORDS = TypeAdapter(ReplayRecord)


def is_as_written(text: str) -> bool | None:
    """Return whether the text of a record has the digest that it states; `None` if it states none.

    Raises
    ------
    ReplayRecordError
        It is no JSON.
    """
    content = _content(text)
    stated = content.pop(_DIGEST, None)
    return None if stated is None else bool(stated == _digest(content))


def _content(text: str) -> dict[str, Any]:
    try:
        content = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise ReplayRecordError(f"it is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ReplayRecordError(f'it is no JSON object and does not say "format": "{FORMAT}"')
    return content


def _digest(content: Mapping[str, Any]) -> str:
    # As it is read again, however the text is laid out.
    text = json.dumps(content, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _problem(error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['msg']}" + (
        f"; {_NEWER}" if error["type"] == "unexpected_keyword_argument" else ""
    )


_OF_COLUMNS = tuple(of.name for of in fields(OutputColumn))


def _told(column: OutputColumn) -> dict[str, Any]:
    return {name: value for name in _OF_COLUMNS if (value := getattr(column, name)) is not None}
