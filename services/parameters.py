"""Parameters of a request by DALI 1.1: names in any case, unknown ones ignored, most of them given once."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from services.errors import ParameterError, RequestTooLargeError
from tap_query.errors import UploadNotKeptError

_PARTS = "multipart/form-data"
_FORMS = frozenset({"application/x-www-form-urlencoded", _PARTS})
# A query has at most half a megabyte (`adql.Limits`), and a form a few fields beside 1000 identifiers.
_LONGEST_VALUE = 2**20
_MOST_FIELDS, _MOST_FILES = 2000, 100


@dataclass(frozen=True, slots=True)
class Parameters:
    """Values by name in capitals, in the order in which they came.

    Parameters
    ----------
    values
        Texts.
    files
        Files of a form, by their names as they were sent: what ``param:NAME`` of an upload means.
    """

    values: Mapping[str, Sequence[str]]
    files: Mapping[str, UploadFile] = field(default_factory=dict)

    @staticmethod
    def of(items: Iterable[tuple[str, str | UploadFile]]) -> "Parameters":
        """Return parameters from names and values as a request has them."""
        values: dict[str, list[str]] = {}
        files: dict[str, UploadFile] = {}
        for name, value in items:
            if isinstance(value, str):
                values.setdefault(name.upper(), []).append(value)
            else:
                files[name] = value
        return Parameters(values, files)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All names and values that are texts."""
        return tuple((name, value) for name, values in self.values.items() for value in values)

    def only(self, name: str) -> "Parameters":
        """Return the values of one parameter, without files."""
        return Parameters({name: self.values.get(name, ())})

    def every(self, name: str) -> Sequence[str]:
        """Return all values of a parameter that are not empty."""
        return [value for value in self.values.get(name, ()) if value.strip()]

    def one(self, name: str) -> str | None:
        """Return the value of a parameter that may be given once; None if it is not given, or empty.

        Raises
        ------
        ParameterError
            Raised if it is there several times.
        """
        found = self.every(name)
        if len(found) > 1:
            raise ParameterError(name, f"is there {len(found)} times", "give it once")
        return found[0] if found else None

    def choice(self, name: str, *choices: str) -> str | None:
        """Return the value of a parameter that has one of a few, in any case; None if it is not given.

        Raises
        ------
        ParameterError
            Raised if it has another value, or is there several times.
        """
        given = self.one(name)
        if given is None:
            return None
        for choice in choices:
            if choice.lower() == given.strip().lower():
                return choice
        raise ParameterError(name, f"is {_shown(given)}", f"the service knows {', '.join(choices)}")

    def count(self, name: str) -> int | None:
        """Return the value of a parameter that is a whole number from 0; None if it is not given.

        Raises
        ------
        ParameterError
            Raised if it is no such number, or is there several times.
        """
        given = self.one(name)
        if given is None:
            return None
        text = given.strip()
        if not (text.isascii() and text.isdigit()):
            raise ParameterError(name, f"is {_shown(given)}", "write a whole number from 0, such as 1000")
        # More digits than any limit, and than Python converts without complaint.
        return int(text[-_MOST_DIGITS:]) if not text[:-_MOST_DIGITS].strip("0") else 10**_MOST_DIGITS


_MOST_DIGITS = 18
_MOST_SHOWN = 60


def _shown(text: str) -> str:
    cut = text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
    return ascii(cut) if not cut.isprintable() else f'"{cut}"'


class _BoundedRequest(Request):
    """A request whose body is read no further than it may be large."""

    max_bytes = 0

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes."""
        size = 0
        async for block in super().stream():
            size += len(block)
            if size > self.max_bytes:
                raise RequestTooLargeError("the request", self.max_bytes)
            yield block


class _WholeParts(MultiPartParser):
    """The parts of a form, which have come to their end (RFC 2046 section 5.1.1)."""

    is_whole = False

    def on_end(self) -> None:
        """Note that the closing boundary was there: without it the last part is cut, and would be lost."""
        self.is_whole = True

    async def parse(self) -> FormData:
        """Return the parts."""
        form = await super().parse()
        if not self.is_whole:
            await form.close()
            raise MultiPartException("its closing boundary is missing")
        return form


async def _read_form(request: Request, kind: str) -> FormData:
    if kind != _PARTS:
        return await request.form(max_fields=_MOST_FIELDS, max_part_size=_LONGEST_VALUE)
    return await _WholeParts(
        request.headers,
        request.stream(),
        max_files=_MOST_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=_LONGEST_VALUE,
    ).parse()


@asynccontextmanager
async def read_parameters(request: Request, *, max_bytes: int) -> AsyncIterator[Parameters]:
    """Give the parameters of a request, of its URL and of the form that it brings, with the form's files.

    Parameters
    ----------
    request
        The request.
    max_bytes
        How large it may be.

    Raises
    ------
    ParameterError
        Raised if the request brings something that is no form.
    RequestTooLargeError
        Raised if it is too large.
    UploadNotKeptError
        Raised if the disk has no place for its files.
    """
    items: list[tuple[str, str | UploadFile]] = list(request.query_params.multi_items())
    async with AsyncExitStack() as stack:
        if request.method == "POST":
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            length = request.headers.get("content-length", "0")
            if length.isdigit() and int(length) > max_bytes:
                raise RequestTooLargeError("the request", max_bytes)
            if kind not in _FORMS and (kind or length != "0"):
                raise ParameterError(
                    "Content-Type", f"is {_shown(kind)}", f"send a form: {' or '.join(sorted(_FORMS))}"
                )
            bounded = _BoundedRequest(request.scope, request.receive)
            bounded.max_bytes = max_bytes
            try:
                form = await _read_form(bounded, kind)
            except (HTTPException, MultiPartException) as error:
                reason = error.message if isinstance(error, MultiPartException) else error.detail
                # Only of limits Starlette says that there is a maximum.
                remedy = "send less at once" if "maximum" in reason.lower() else "send it again"
                raise ParameterError("the form", f"cannot be read: {reason.rstrip('.')}", remedy) from error
            except OSError as error:
                raise UploadNotKeptError("the request", error.strerror) from error
            stack.push_async_callback(form.close)
            items += form.multi_items()
        yield Parameters.of(items)
