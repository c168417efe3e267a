"""``/replay/verify``: whether the rows of a file are those of its record, and whether they come again."""

import gzip
import shutil
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from adql import Metadata
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.query_store.checks import differences_between
from ppdb_replay.query_store.landing import upload_page, verdict_page
from ppdb_replay.query_store.store import check_file, find_stored, is_xml
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replayer import Replayer
from ppdb_replay.votable.file_record import FileCheck, check_rows
from services.errors import ParameterError, RequestTooLargeError
from services.parameters import Parameters, read_parameters
from services.replay.answers import (
    document,
    form_of,
    page,
    told_in_form,
    user_of,
    versions_needed,
)
from services.results import run_in_turn
from services.service import in_thread, service_of
from tap_query.errors import UploadNotKeptError
from tapdb.postgres.engine import driver_connection

MOST_REPLAYED = 1_000_000
"""Rows of a result whose query is run again: they are kept in memory."""

MOST_JSON = 20_000_000
"""Bytes of JSON: as objects it takes twenty times the memory, and other formats are read row by row."""

_PARTS = "multipart/form-data"
_FILE, _RECORD = "file", "record"
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 20
_LONGEST_BLANK = 64
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@told_in_form
async def verify(request: Request) -> Response:
    """Take a file, or a page with which a person sends one, and say what it is."""
    user, form = user_of(request), form_of(request, forms=("json", "html"))
    if request.method != "POST":
        return page(upload_page(f"{service_of(request).base_url(request)}/replay/verify"))
    async with _files(request) as (paths, parameters):
        replays = parameters.choice("REPLAY", "true", "false") == "true"
        against = parameters.one("AGAINST")
        service = service_of(request)
        metadata = (await in_thread(service, service.database_of(user).publication)).metadata
        most = service.settings.upload_bytes

        def check(connection: sa.Connection) -> FileCheck:
            driver = driver_connection(connection)
            stored = None if against is None else find_stored(driver, against)
            if stored is not None:
                Replayer(driver, published=metadata).require_seen(stored.record)
            files = {part: _readable(path, most) for part, path in paths.items()}
            found = _check(files, None if stored is None else stored.record)
            if stored is None or found.record is None:
                return found
            known = (stored.pid, stored.record)
            others = differences_between(found.record, known, Replayer(driver, published=metadata))
            return replace(found, problems=(*found.problems, *others))

        # It takes the time of a thread, as a query does; no more at once than there may be queries.
        found = await run_in_turn(request, user, check)
    verdict = _verdict(found)
    record = found.record
    if replays and record is not None:
        if record.row_count > MOST_REPLAYED or record.uploads:
            verdict["database"] = (
                "not asked: the result is too large, or needs an upload; use tapdb replay verify"
            )
        else:
            with versions_needed():
                again = await run_in_turn(request, user, lambda one: _replayed(one, record, metadata))
            verdict |= {"database": again}
    return page(verdict_page(verdict)) if form == "html" else document(verdict)


def _replayed(connection: sa.Connection, record: ReplayRecord, metadata: Metadata) -> dict[str, Any]:
    # What a record says of its rows is what somebody sent: more than these are not kept in any case.
    most = MOST_REPLAYED if record.max_rows is None else min(record.max_rows, MOST_REPLAYED)
    found = Replayer(driver_connection(connection), published=metadata).verify(replace(record, max_rows=most))
    return {"is_identical": found.is_identical, **asdict(found)}


def _verdict(found: FileCheck) -> dict[str, Any]:
    record = found.record
    verdict: dict[str, Any] = {
        "is_whole": not found.problems,
        "problems": list(found.problems),
        "note": found.note or None,
        "has_rows": found.has_rows,
        "database": None,
    }
    if record is not None:
        verdict |= {
            "query": record.natural,
            "snapshot": record.snapshot.snapshot_id,
            "rows": record.row_count,
            "digest": record.digest,
            "guarantee": record.guarantee.level.value,
        }
    return verdict


def _check(paths: dict[str, Path], stored: ReplayRecord | None) -> FileCheck:
    """Return what a file is, with the record that it holds, that came beside it or that is stored."""
    try:
        file = paths.get(_FILE) or paths[_RECORD]
        beside = paths.get(_RECORD)
        if beside is None or beside == file or is_xml(file):
            return check_file(file, stored)
        known = check_file(beside)
        if known.record is None:
            return known
        rows = check_rows(file, known.record)
        problems = known.problems if not known.has_rows else ()
        return replace(rows, problems=(*problems, *rows.problems))
    except ReplayRecordError as error:
        # Where the file lies in the meantime is nobody's business.
        raise ReplayRecordError(error.problem) from None


def _readable(path: Path, most: int) -> Path:
    """Return a file without its packing, if it can be read within the memory that there is."""
    found = _unpacked(path, most)
    with found.open("rb") as file:
        begin = file.read(_LONGEST_BLANK).removeprefix(_BYTE_ORDER_MARK).lstrip()
    if begin[:1] in b"{[" and found.stat().st_size > MOST_JSON:
        raise RequestTooLargeError("JSON of rows or a record", MOST_JSON)
    return found


def _unpacked(path: Path, most: int) -> Path:
    """Return a file, or what it holds if it is packed by gzip, as results are that clients take so."""
    with path.open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return path
    unpacked = path.with_suffix(".unpacked")
    size = 0
    try:
        with gzip.open(path) as packed, unpacked.open("wb") as file:
            while piece := packed.read(_PIECE):
                size += len(piece)
                if size > most:
                    raise RequestTooLargeError("the file, unpacked,", most)
                file.write(piece)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = f"it is packed by gzip, and cut or damaged ({error}); send it unpacked"
        raise ReplayRecordError(problem) from error
    except OSError as error:
        raise UploadNotKeptError("the request", error.strerror) from error
    return unpacked


@asynccontextmanager
async def _files(request: Request) -> AsyncIterator[tuple[dict[str, Path], Parameters]]:
    """Give the files of a request in a folder of their own: parts of a form, or the body itself."""
    most = service_of(request).settings.upload_bytes
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    with TemporaryDirectory() as name:
        folder = Path(name)
        if kind == _PARTS:
            async with read_parameters(request, max_bytes=most) as parameters:
                given = {part.lower(): file.file for part, file in parameters.files.items() if file.size}
                paths = {part: folder / part for part in (_FILE, _RECORD) if part in given}
                if not paths:
                    raise ParameterError(
                        _FILE, "is missing", 'send a part "file", for CSV and JSON beside "record"'
                    )
                for part, path in paths.items():
                    await run_in_threadpool(_keep, given[part], path)
                yield paths, parameters
            return
        path = folder / _FILE
        await _keep_body(request, path, most)
        yield {_FILE: path}, Parameters.of(request.query_params.multi_items())


def _keep(stream: IO[bytes], path: Path) -> None:
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
    except OSError as error:
        raise UploadNotKeptError("the request", error.strerror) from error


async def _keep_body(request: Request, path: Path, most: int) -> None:
    size = 0
    try:
        with path.open("wb") as file:
            async for block in request.stream():
                size += len(block)
                if size > most:
                    raise RequestTooLargeError("the request", most)
                file.write(block)
    except OSError as error:
        raise UploadNotKeptError("the request", error.strerror) from error
