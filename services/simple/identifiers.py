"""``/identifiers``: what identifiers of datasets mean, and which identifiers datasets have, many at once."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from services.errors import ParameterError, RequestTooLargeError
from services.gate import FACTS
from services.parameters import Parameters, read_parameters
from services.results import read_in_turn
from services.service import service_of
from tapdb.errors import TapdbError
from tapdb.hooks.identifiers import IdentifiedDataset, Identifiers, WantedDataset

_Value = TypeVar("_Value")

_MOST, _MOST_BYTES, _LONGEST_LOGGED = 1000, 2**20, 2000
_JSON, _CSV, _TEXT = "application/json", "text/csv", "text/plain"
_FORMS = {"json": _JSON, _JSON: _JSON, "csv": _CSV, _CSV: _CSV}
_COLUMNS = ("entry", "id", "uuid", "dataset_type", "run", "dimensions", "error")
_NOT_DIMENSIONS = frozenset({"dataset_type", "run", "responseformat"})
# JSON has escapes of them, but neither PostgreSQL nor UTF-8 can hold them.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DataIdsEndpoint:
    """Answers ``/data-ids``: dataset type, RUN and dimensions of identifiers.

    They are values of ID, the lines of a text or CSV, or a JSON array of texts.

    Attributes
    ----------
    identifiers
        What knows them.
    """

    identifiers: Identifiers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        given, form = await _given(request, _dids_of_parameters, _dids_of_body)
        found = await _read(request, len(given), lambda one: self.identifiers.identify(one, given))
        request.scope[FACTS]["query"] = " ".join(given)[:_LONGEST_LOGGED]
        entries = [
            {"id": did, "error": str(one)} if isinstance(one, TapdbError) else {"id": did, **_shown(one)}
            for did, one in zip(given, found, strict=True)
        ]
        rows = [{"entry": number, **entry} for number, entry in enumerate(entries, 1)]
        await _answer(form, entries, rows)(scope, receive, send)


@dataclass(frozen=True, slots=True)
class DidsEndpoint:
    """Answers ``/dids``: identifiers of the datasets that have a dataset type and values of its dimensions.

    One data ID is the parameters of a request; many are a JSON array of objects, or CSV with a header.

    Attributes
    ----------
    identifiers
        What knows them.
    """

    identifiers: Identifiers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        given, form = await _given(request, _wanted_of_parameters, _wanted_of_body)
        wanted = [one for one in given if isinstance(one, WantedDataset)]
        read = await _read(request, len(given), lambda one: self.identifiers.find(one, wanted))
        answers = iter(read)
        found = [one if isinstance(one, TapdbError) else next(answers) for one in given]
        entries: list[dict[str, Any]] = [
            {"error": str(one)} if isinstance(one, TapdbError) else {"datasets": [_dataset(of) for of in one]}
            for one in found
        ]
        rows = [
            {"entry": number, **row}
            for number, entry in enumerate(entries, 1)
            for row in entry.get("datasets", [entry])
        ]
        await _answer(form, entries, rows)(scope, receive, send)


async def _given(
    request: Request,
    of_parameters: Callable[[Parameters], list[_Value]],
    of_body: Callable[[str, str], list[_Value]],
) -> tuple[list[_Value], str]:
    """Return what a request asks for, in its parameters or in its body, and the format of the answer."""
    service, facts = service_of(request), request.scope[FACTS]
    facts["resource"] = "identifiers"
    facts["user"] = service.authenticator.user(request).name
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and kind in {_JSON, _CSV, _TEXT}:
        form = _form(request, Parameters.of(request.query_params.multi_items()))
        given = of_body(kind, await _body(request))
    else:
        async with read_parameters(request, max_bytes=_MOST_BYTES) as parameters:
            form = _form(request, parameters)
            given = of_parameters(parameters)
    if len(given) > _MOST:
        raise ParameterError("the request", f"has {len(given)} entries", f"send at most {_MOST} at once")
    return given, form


def _form(request: Request, parameters: Parameters) -> str:
    """Return the media type that the client wants."""
    wanted = parameters.one("RESPONSEFORMAT")
    if wanted is None:
        return _CSV if request.headers.get("accept", "").lower().startswith(_CSV) else _JSON
    form = _FORMS.get(wanted.strip().lower())
    if form is None:
        raise ParameterError("RESPONSEFORMAT", "is no format of identifiers", "give json or csv")
    return form


async def _body(request: Request) -> str:
    whole = bytearray()
    async for block in request.stream():
        whole += block
        if len(whole) > _MOST_BYTES:
            raise RequestTooLargeError("the request", _MOST_BYTES)
    try:
        return whole.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError("the request", "is no UTF-8 text", "send it as UTF-8") from error


async def _read(
    request: Request, count: int, read: Callable[[sa.Connection], Sequence[_Value]]
) -> Sequence[_Value]:
    """Return what is read of the database when the user has a turn."""
    user = service_of(request).authenticator.user(request)
    found = await read_in_turn(request, user, read)
    request.scope[FACTS] |= {"rows": count}
    return found


# -- what is given
# ----------------------------------------------------------------------------------------------------------


def _dids_of_parameters(parameters: Parameters) -> list[str]:
    found = [one.strip() for one in parameters.every("ID")]
    if not found:
        raise ParameterError(
            "ID", "is missing", "give an identifier such as ivo://AUTHORITY?repo=LABEL&id=UUID"
        )
    return found


def _dids_of_body(kind: str, text: str) -> list[str]:
    if kind == _JSON:
        texts = (one if isinstance(one, str) else json.dumps(one) for one in _array(text))
        return [_NO_TEXT.sub("\ufffd", one) for one in texts]
    lines = [line.strip().strip('"') for line in text.splitlines()]
    return [line for number, line in enumerate(lines) if line and (number or line.lower() != "id")]


def _wanted_of_parameters(parameters: Parameters) -> list[WantedDataset | TapdbError]:
    values = {name.lower(): parameters.one(name) for name in parameters.values}
    return [_wanted({name: value for name, value in values.items() if value is not None})]


def _wanted_of_body(kind: str, text: str) -> list[WantedDataset | TapdbError]:
    if kind == _JSON:
        return [_wanted(one) for one in _array(text)]
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise ParameterError(
            "the request", f"is no CSV: {error}", "send a header, and a line each"
        ) from error
    return [_wanted({name or "": value for name, value in row.items() if value}) for row in rows]


def _wanted(given: object) -> WantedDataset | TapdbError:
    """Return a data ID of an object, or what is wrong with it."""
    if not isinstance(given, Mapping) or not isinstance(given.get("dataset_type"), str):
        return ParameterError(
            "dataset_type", "is missing", "give the dataset type and values of its dimensions"
        )
    inner = given.get("dimensions")
    named = inner if isinstance(inner, Mapping) else given
    dimensions = {name: value for name, value in named.items() if name not in _NOT_DIMENSIONS}
    run = given.get("run")
    texts = (given["dataset_type"], run, *dimensions, *dimensions.values())
    if any(isinstance(text, str) and _NO_TEXT.search(text) for text in texts):
        return ParameterError("the data ID", "has characters that no text has", "leave them out")
    for name, value in dimensions.items():
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            return ParameterError(
                str(name), "is neither a text nor a whole number", "give the value of a dimension"
            )
    if run is not None and not isinstance(run, str):
        return ParameterError("run", "is no text", "give the name of a RUN, or none for all")
    return WantedDataset(dataset_type=given["dataset_type"], dimensions=dimensions, run=run)


def _array(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError("the request", f"is no JSON: {error}", "send an array") from error
    if not isinstance(found, list):
        raise ParameterError("the request", "is no JSON array", "send an array, also of one")
    return found


# -- the answer
# ----------------------------------------------------------------------------------------------------------


def _shown(dataset: IdentifiedDataset) -> dict[str, Any]:
    return {
        "uuid": str(dataset.uuid),
        "dataset_type": dataset.dataset_type,
        "run": dataset.run,
        "dimensions": dict(dataset.dimensions),
    }


def _dataset(dataset: IdentifiedDataset) -> dict[str, Any]:
    return {"id": dataset.did, **_shown(dataset)}


def _answer(form: str, entries: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Response:
    """Return entries as JSON, or rows as CSV."""
    if form == _JSON:
        return JSONResponse(entries)
    return Response("".join(_lines(rows)), media_type=f"{_CSV}; charset=utf-8; header=present")


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    written = io.StringIO()
    writer = csv.DictWriter(written, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        more = {"dimensions": json.dumps(row["dimensions"])} if "dimensions" in row else {}
        writer.writerow({**row, **more})
    yield written.getvalue()
