"""A stored query: its identifier, its citation, and what a landing page shows. Nothing is read here."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.replaying.execution import SOFTWARE
from ppdb_replay.replaying.record import ReplayRecord, is_as_written
from ppdb_replay.rewriting.classify import Level, query_sha256

_PID_BYTES = 15
_MJD_ZERO = datetime(1858, 11, 17)  # noqa: DTZ001 - TAI, which is no time zone
DOI = re.compile(r"10\.[0-9]{4,9}/\S+")
"""Names of DOIs, such as ``10.5072/ppdb.x``."""

_DOI_FORMS = re.compile(r"(?:https?://(?:dx\.|www\.)?doi\.org/|doi:\s*|info:doi/)(?=10\.)", re.IGNORECASE)
_REPLAY = "/replay/"
_BELOW = ("/result", "/changes")
_TEX = MappingProxyType({character: "\\" + character for character in "&%$#_{}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The data collection of which results are subsets, as citations name it.

    Parameters
    ----------
    title, creator, publisher
        As in a list of references; empty if there is none.
    superset
        Identifier of the whole collection, such as its DOI.
    pid_prefix
        What identifiers of stored queries begin with.
    landing_url
        URL of landing pages; the identifier of a query follows it.
    """

    title: str = "Prompt Products Database"
    creator: str = ""
    publisher: str = ""
    superset: str = ""
    pid_prefix: str = "ppdb."
    landing_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuery:
    """A query with an identifier.

    Others can resolve it if it is the name of a registered DOI, or if it has a landing page.

    Parameters
    ----------
    pid
        The identifier.
    normalised
        The query in the form that is the same however it was written.
    column_digest
        Digest of names and types of the columns.
    superset
        Identifier of the data collection.
    citation
        Text for a list of references.
    landing
        What a landing page shows, as JSON.
    record
        Record that repeats it.
    """

    pid: str
    normalised: str
    column_digest: str
    superset: str
    citation: str
    landing: Mapping[str, Any]
    record: ReplayRecord

    @property
    def query_sha256(self) -> str:
        """SHA-256 of the normalised query, hexadecimal."""
        return query_sha256(self.normalised)

    @property
    def doi(self) -> str:
        """Name of the DOI that the identifier is; empty if it is no DOI."""
        return self.pid if DOI.fullmatch(self.pid) else ""

    @property
    def address(self) -> str:
        """URL that leads to it from anywhere: of the DOI or of the landing page; empty if there is none."""
        return _address(self.pid, self.landing["url"])


def named_identifier(text: str) -> str:
    """Return the identifier that a text means, as papers, browsers and people write it.

    That is the name of a DOI for ``https://doi.org/10.x/y`` and ``doi:10.x/y``, as the DOI Handbook writes
    them, and what follows ``/replay/`` in the address of a service. All else is itself.

    Parameters
    ----------
    text
        Identifier, DOI or address.
    """
    text = text.strip().removeprefix("<").removesuffix(">").strip()
    _, mark, found = f"/{text}".partition("#")[0].partition("?")[0].rpartition(_REPLAY)
    if mark:
        text = unquote(found).rstrip("/")
        for below in _BELOW:
            text = text.removesuffix(below)
    if (form := _DOI_FORMS.match(text)) is not None:
        text = unquote(text[form.end() :])
    return text


def minted_pid(record: ReplayRecord, normalised: str, prefix: str) -> str:
    """Return the identifier of a query and its result: the same for the same ones (RDA recommendation 8).

    The snapshot does not count: a query that returned the same at two of them has one identifier.
    A database that is moved elsewhere mints the same identifiers.

    Parameters
    ----------
    record
        Record of the result.
    normalised
        The normalised query.
    prefix
        What the identifier begins with.
    """
    told_apart_by = [
        query_sha256(normalised),
        record.dialect,
        record.max_rows,
        record.exact_sums,
        sorted(record.uploads.items()),
        record.digest,
    ]
    digest = hashlib.sha256(json.dumps(told_apart_by).encode()).digest()
    return prefix + base64.b32encode(digest[:_PID_BYTES]).decode().lower()


def without_prefix(pid: str) -> str:
    """Return the part of an identifier that follows from query and result: the same after any prefix."""
    return pid[-8 * _PID_BYTES // 5 :]


def make_stored_query(record: ReplayRecord, normalised: str, collection: Collection) -> StoredQuery:
    """Return what is stored of a result.

    Parameters
    ----------
    record
        Record of the result.
    normalised
        The normalised query.
    collection
        The data collection.
    """
    pid = minted_pid(record, normalised, collection.pid_prefix)
    column_digest = digest_of_result(record.columns, ())
    citation = _citation(record, pid, collection)
    return StoredQuery(
        pid=pid,
        normalised=normalised,
        column_digest=column_digest,
        superset=collection.superset,
        citation=citation,
        landing=_landing(record, pid, normalised, column_digest, citation, collection),
        record=record,
    )


def stored_row(stored: StoredQuery) -> dict[str, Any]:
    """Return what the store holds of a query, by the names of its columns.

    Parameters
    ----------
    stored
        The query, with the record of its result.
    """
    record = stored.record
    text = record.to_json()
    return {
        "pid": stored.pid,
        "natural_adql": record.natural,
        "normalised_adql": stored.normalised,
        "query_sha256": stored.query_sha256,
        "repeatable_adql": record.repeatable,
        "snapshot_id": record.snapshot.snapshot_id,
        "t_mjd_tai": record.snapshot.t_mjd_tai,
        "schema_version": record.schema_version,
        "result_digest": record.digest,
        "column_digest": stored.column_digest,
        "row_count": record.row_count,
        "max_rows": record.max_rows,
        "uploads": dict(record.uploads),
        "guarantee": record.guarantee.level.value,
        "superset": stored.superset,
        "citation": stored.citation,
        "landing": dict(stored.landing),
        "record": text,
        "record_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def edited_columns(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of a row of the store that do not follow from its record.

    The identifier follows from query and result. Title, creator, publisher and addresses are those of the
    landing data, which have to be those of the citation.

    Parameters
    ----------
    row
        What the store holds of a query, as `stored_row` returns it.

    Raises
    ------
    ReplayRecordError
        The record cannot be read.
    """
    record = ReplayRecord.from_json(row["record"])
    said = row["landing"] if isinstance(row["landing"], dict) else {}
    suffix = _title("", record)
    collection = Collection(
        title=str(said.get("name")).removesuffix(suffix),
        creator=str(said.get("creator")),
        publisher=str(said.get("publisher")),
        superset=str(said.get("isPartOf")),
        pid_prefix=row["pid"].removesuffix(without_prefix(row["pid"])),
        landing_url=str(said.get("url")).removesuffix(row["pid"]),
    )
    expected = stored_row(make_stored_query(record, row["normalised_adql"], collection))
    # Other releases may have worded them otherwise.
    others = set() if record.software == SOFTWARE else {"citation", "landing", "record", "record_sha256"}
    found = [name for name in expected if name not in others and row[name] != expected[name]]
    if is_as_written(row["record"]) is False and "record" not in found:
        found.append("record")
    return tuple(found)


def bibtex(stored: StoredQuery) -> str:
    """Return the citation of a stored query as an entry of BibTeX.

    Parameters
    ----------
    stored
        The query.
    """
    landing = stored.landing
    values = {
        # The name of an institution is one name.
        "author": "{" + _tex(landing["creator"]) + "}" if landing["creator"] else "",
        "title": "{" + _tex(landing["name"]) + "}",
        "year": landing["snapshot"]["date_tai"][:4],
        "publisher": landing["publisher"],
        "version": f"snapshot {stored.record.snapshot.snapshot_id}",
        "doi": stored.doi,
        "url": landing["url"] or stored.address,
        "note": _tex(f"{stored.pid}, {stored.record.row_count} rows, {stored.record.digest}"),
    }
    verbatim = ("author", "title", "doi", "url", "note")
    lines = [
        f"  {name} = {{{value if name in verbatim else _tex(value)}}},"
        for name, value in values.items()
        if value
    ]
    return "\n".join(["@misc{" + stored.pid + ",", *lines, "}"])


def _citation(record: ReplayRecord, pid: str, collection: Collection) -> str:
    snapshot = record.snapshot
    date = date_tai(snapshot.t_mjd_tai)
    made_by = f"{collection.creator} ({date[:4]}): " if collection.creator else ""
    level = record.guarantee.level
    promise = "" if level is Level.EXACT else f" Repeatable: {level.value}."
    title = f"{collection.title}, result of a query as of snapshot {snapshot.snapshot_id}"
    parts = (
        f"{made_by}{title} ({date}, MJD {snapshot.t_mjd_tai!r}, TAI).",
        f" {collection.publisher}." if collection.publisher else "",
        f" {_address(pid, '')}." if DOI.fullmatch(pid) else f" {pid}.",
        f" {record.row_count} rows, {record.digest}.",
        promise,
    )
    return "".join(parts)


def _address(pid: str, url: str) -> str:
    return f"https://doi.org/{pid}" if DOI.fullmatch(pid) else url


def _landing(
    record: ReplayRecord,
    pid: str,
    normalised: str,
    column_digest: str,
    citation: str,
    collection: Collection,
) -> dict[str, Any]:
    content = json.loads(record.to_json())
    snapshot = record.snapshot
    return {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "identifier": pid,
        "name": _title(collection.title, record),
        "creator": collection.creator,
        "publisher": collection.publisher,
        "url": collection.landing_url + pid if collection.landing_url else "",
        "isPartOf": collection.superset,
        "citation": citation,
        "query": {
            "natural": record.natural,
            "normalised": normalised,
            "normalised_sha256": query_sha256(normalised),
            "repeatable": record.repeatable,
            "dialect": record.dialect,
            "max_rows": record.max_rows,
            "exact_sums": record.exact_sums,
            "uploads": dict(record.uploads),
        },
        "snapshot": {
            **asdict(snapshot),
            "date_tai": date_tai(snapshot.t_mjd_tai),
            "digest": record.snapshot_digest,
        },
        "result": {
            "digest": record.digest,
            "column_digest": column_digest,
            "row_count": record.row_count,
            "overflow": record.overflow,
            "columns": content["columns"],
        },
        "guarantee": content["guarantee"],
        "schema_version": record.schema_version,
        "software": record.software,
    }


def _title(collection: str, record: ReplayRecord) -> str:
    return f"{collection}: result of a query as of snapshot {record.snapshot.snapshot_id}"


def date_tai(t_mjd_tai: float) -> str:
    """Return a time as ISO 8601 to the second, in TAI as it is.

    Parameters
    ----------
    t_mjd_tai
        MJD, TAI.
    """
    return (_MJD_ZERO + timedelta(days=t_mjd_tai)).isoformat(timespec="seconds")


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)
