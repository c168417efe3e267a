"""The first table of a VOTable, read as it comes: no more than a piece of the file is kept.

What strangers send is read too: there are no document types and so no entities, nothing is fetched, and the
size of rows, columns, tags, depth and of all that is unpacked has limits (ADR 103).
"""

import base64
import binascii
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any
from xml.parsers import expat

from tapdb.errors import TapdbError, ValueReadError
from tapdb.votable.binary2 import RowDecoder
from tapdb.votable.fields import COMPLEX, INTEGERS, TEXTS, Field, shape_of
from tapdb.votable.tabledata import cell_reader

Seen = Callable[[Sequence[str], dict[str, str]], None]
"""Called with the names of an element and of those around it, outermost first, and its attributes."""

_PIECE = 65536
_GZIP = b"\x1f\x8b"
_WITH_HEADER = 16 + zlib.MAX_WBITS
_ROOT = "VOTABLE"
_NUMBERS = frozenset((*INTEGERS, *COMPLEX, "float", "double"))
_KNOWN = _NUMBERS | TEXTS | {"boolean", "bit"}
_SIZE = re.compile(r"([1-9][0-9]{0,8}x)*([1-9][0-9]{0,8}\*?|\*)")
_UNREAD = {
    "FITS": "its rows are a FITS file; save it as BINARY2 or TABLEDATA",
    "PARQUET": "its rows are a Parquet file; save it as BINARY2 or TABLEDATA",
}
_ROWS = frozenset(("TABLEDATA", "BINARY", "BINARY2"))
_OF_EXPAT = frozenset(("utf-8", "utf-16", "utf-16be", "utf-16le"))


class VotableError(TapdbError):
    """A file is no VOTable that can be read.

    Parameters
    ----------
    problem
        What is wrong with it, and what to do.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the VOTable cannot be read: {problem}")


class VotableLimitError(VotableError):
    """A VOTable is larger than its reader takes.

    Parameters
    ----------
    problem
        What there is too much of, and the limit.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """How large a VOTable may be.

    Parameters
    ----------
    max_bytes
        Size of the XML, unpacked.
    max_rows, max_columns
        Size of the table.
    max_row_bytes
        Size of one row, and of any other text or tag.
    max_depth
        Elements inside of elements.
    """

    max_bytes: int = 2**63
    max_rows: int = 2**63
    max_columns: int = 10_000
    max_row_bytes: int = 2**31
    max_depth: int = 100


class VotableReader:
    """A VOTable that is read.

    Parameters
    ----------
    stream
        The XML; it is read once, from where it stands.
    limits
        How large it may be.
    seen
        Called for each element but those of rows.
    columns
        Columns as which rows are decoded, if not as the FIELD elements describe them; rows are then those of
        our own files.
    with_rows
        Whether rows are decoded, or passed over.
    unpacks
        Whether the file may be packed by gzip.

    Attributes
    ----------
    fields
        Attributes of the FIELD elements of the first table, with ``description`` and, if VALUES says one,
        ``null``; whole once a row has come, or the end.
    is_canonical
        Whether all rows of BINARY2 so far are the bytes that our own writer makes of them; found if `columns`
        are given.
    """

    def __init__(
        self,
        stream: IO[bytes],
        *,
        limits: ReadLimits = ReadLimits(),
        seen: Seen = lambda _path, _attributes: None,
        columns: Sequence[Field] | None = None,
        with_rows: bool = True,
        unpacks: bool = False,
    ) -> None:
        self.fields: list[dict[str, str]] = []
        self._stream = stream
        self._limits = limits
        self._seen = seen
        self._columns = columns
        self._with_rows = with_rows
        self._unpacks = unpacks
        self._path: list[str] = []
        self._tables = 0
        self._text: list[str] | None = None
        self._length = 0
        self._cells: list[Callable[[str], Any]] = []
        self._decoder: RowDecoder | None = None
        self._row: list[str] = []
        self._rows: list[tuple[Any, ...]] = []
        self._count = 0

    @property
    def is_canonical(self) -> bool:
        """Whether rows are the bytes that our own writer makes of them."""
        return self._decoder is None or self._decoder.is_canonical

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the first table as plain values, and read on to the end of the file.

        Raises
        ------
        VotableError
            Raised if it is no VOTable, or not one that can be read.
        VotableLimitError
            Raised if it is too large.
        ValueReadError
            Raised if a value does not fit its column.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = _PIECE
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.XmlDeclHandler = _require_encoding
        given = 0
        try:
            for piece in self._pieces():
                parser.Parse(piece, False)  # noqa: FBT003  pyexpat knows no names
                given += len(piece)
                if given - max(parser.CurrentByteIndex, 0) > self._limits.max_row_bytes + 2 * _PIECE:
                    raise self._too_long("a tag or comment")
                yield from self._take_rows()
            parser.Parse(b"", True)  # noqa: FBT003
        except expat.ExpatError as error:
            raise VotableError(f"it is no XML: {error}") from error
        yield from self._take_rows()

    def _pieces(self) -> Iterator[bytes]:
        """Yield the file, unpacked, up to its largest size."""
        piece = self._stream.read(_PIECE)
        packed = self._unpacks and piece.startswith(_GZIP)
        total = 0
        for part in (_gunzipped if packed else _as_they_are)(self._stream, piece):
            total += len(part)
            if total > self._limits.max_bytes:
                raise VotableLimitError(f"it has more than {self._limits.max_bytes} bytes")
            yield part

    def _take_rows(self) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows, []
        self._count += len(rows)
        if self._count > self._limits.max_rows:
            raise VotableLimitError(f"it has more than {self._limits.max_rows} rows")
        return rows

    def _too_long(self, what: str) -> VotableLimitError:
        return VotableLimitError(f"{what} is longer than {self._limits.max_row_bytes} bytes")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        local = tag.rpartition(":")[2]
        path = self._path
        if not path and local != _ROOT:
            raise VotableError(f"it is no VOTable: its root is {tag[:60]}")
        path.append(local)
        if len(path) > self._limits.max_depth:
            raise VotableLimitError(f"it has more than {self._limits.max_depth} elements inside of others")
        above = path[-2] if len(path) > 1 else ""
        if above in {"TABLEDATA", "TR"}:
            self._start_in_rows(local, attributes)
            return
        self._tables += local == "TABLE"
        self._seen(path, attributes)
        if self._tables == 1:
            self._start_in_table(above, local, attributes)

    def _start_in_table(self, above: str, local: str, attributes: dict[str, str]) -> None:
        match above, local:
            case "TABLE", "FIELD":
                self.fields.append(dict(attributes))
                if len(self.fields) > self._limits.max_columns:
                    raise VotableLimitError(f"it has more than {self._limits.max_columns} columns")
            case "FIELD", "VALUES":
                if "null" in attributes:
                    self.fields[-1]["null"] = attributes["null"]
            case "FIELD", "DESCRIPTION":
                self._text = []
                self._length = 0
            case "DATA", _ if local != "INFO" and self._with_rows:
                self._begin_rows(local)
            case (("BINARY" | "BINARY2"), "STREAM"):
                self._begin_stream(attributes)

    def _start_in_rows(self, local: str, attributes: dict[str, str]) -> None:
        if self._tables != 1 or not self._cells:
            return
        if local == "TR":
            self._row = []
            self._length = 0
        elif local == "TD":
            if "encoding" in attributes:
                raise VotableError("a TD has an encoding; save it as BINARY2 or as plain TABLEDATA")
            self._text = []

    def _begin_rows(self, form: str) -> None:
        """Find how rows are decoded: all FIELD elements stand before DATA."""
        if self._cells or self._decoder is not None:
            raise VotableError("its first table has DATA twice")
        if form not in _ROWS:
            raise VotableError(_UNREAD.get(form, f"DATA has {form[:60]}, and not TABLEDATA or BINARY2"))
        if self._columns is not None:
            if form == "TABLEDATA":
                self._cells = list(map(cell_reader, self._columns))
            else:
                self._decoder = RowDecoder(self._columns, has_flags=form == "BINARY2", checks_bytes=True)
            return
        columns = self.columns()
        if not columns:
            raise VotableError("its table has no FIELD")
        nulls = [field.get("null") for field in self.fields]
        if form == "TABLEDATA":
            self._cells = list(map(_checked_cells, columns, nulls))
        else:
            self._decoder = RowDecoder(
                columns,
                list(map(_null_value, columns, nulls)),
                has_flags=form == "BINARY2",
                max_row_bytes=self._limits.max_row_bytes,
            )

    def columns(self) -> tuple[Field, ...]:
        """Return the columns as the FIELD elements describe them.

        Raises
        ------
        VotableError
            Raised if a column is of a kind that is not read.
        """
        return tuple(map(_column, self.fields))

    def _begin_stream(self, attributes: dict[str, str]) -> None:
        if attributes.get("encoding") != "base64" or "href" in attributes:
            raise VotableError("its rows are not in the file as base64; save it as BINARY2 or TABLEDATA")
        if self._decoder is not None:
            self._text = []

    def _characters(self, text: str) -> None:
        if self._text is None:
            return
        self._text.append(text)
        if self._path[-1] == "STREAM":
            self._take_bytes(last=False)
            return
        self._length += len(text)
        if self._length > self._limits.max_row_bytes:
            raise self._too_long("a row or a description")

    def _end(self, _: str) -> None:
        local = self._path.pop()
        if local == "TR":
            if self._cells and self._tables == 1:
                self._end_row()
        elif self._text is not None:
            if local == "TD":
                self._row.append("".join(self._text))
                if len(self._row) > len(self._cells):
                    raise self._wrong_row()
            elif local == "STREAM":
                self._take_bytes(last=True)
            elif local == "DESCRIPTION":
                self.fields[-1]["description"] = " ".join("".join(self._text).split())
            else:
                # What stands inside of a cell, such as markup, has no meaning.
                return
            self._text = None

    def _end_row(self) -> None:
        if len(self._cells) != len(self._row):
            raise self._wrong_row()
        try:
            values = [read(text) for read, text in zip(self._cells, self._row, strict=True)]
        except ValueReadError as error:
            raise self._in_row(error) from error
        self._rows.append(tuple(values))

    def _wrong_row(self) -> ValueReadError:
        cells = f"{len(self._row)} cells" if len(self._row) <= len(self._cells) else "more cells"
        error = ValueReadError("the row", f"it has {cells}, and there are {len(self._cells)} columns")
        return self._in_row(error)

    def _in_row(self, error: ValueReadError) -> ValueReadError:
        """Return an error with the number of its row."""
        return ValueReadError(f"row {self._count + len(self._rows) + 1}, {error.what}", error.problem)

    def _take_bytes(self, *, last: bool) -> None:
        """Decode the base64 that has come, in fours of characters."""
        if self._decoder is None or self._text is None:
            return
        text = "".join("".join(self._text).split())
        size = len(text) if last else len(text) // 4 * 4
        self._text = [text[size:]]
        try:
            content = base64.b64decode(text[:size], validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueReadError("the rows", f"they are no base64: {error}") from error
        if base64.b64encode(content).decode() != text[:size]:
            raise ValueReadError("the rows", "bits of their base64 stand for nothing")
        try:
            self._rows += self._decoder.feed(content)
            if last:
                self._decoder.close()
        except ValueReadError as error:
            raise self._in_row(error) from error


def _as_they_are(stream: IO[bytes], piece: bytes) -> Iterator[bytes]:
    while piece:
        yield piece
        piece = stream.read(_PIECE)


def _gunzipped(stream: IO[bytes], piece: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_WITH_HEADER)
    try:
        while True:
            part = inflater.decompress(piece, _PIECE)
            if part:
                yield part
            if inflater.eof:
                # gzip files may be strung together, and filled up.
                piece = (inflater.unused_data or stream.read(_PIECE)).lstrip(b"\0")
                inflater = zlib.decompressobj(_WITH_HEADER)
                if not piece:
                    return
            elif inflater.unconsumed_tail or len(part) == _PIECE:
                piece = inflater.unconsumed_tail
            elif not (piece := stream.read(_PIECE)):
                raise VotableError("it is packed by gzip, and its end is missing")
    except zlib.error as error:
        raise VotableError(f"it is packed by gzip, and damaged: {error}") from error


def _column(field: dict[str, str]) -> Field:
    """Return the column that a FIELD describes."""
    name, datatype, arraysize = field.get("name", ""), field.get("datatype", ""), field.get("arraysize")
    what = f"column {name[:60] or field.get('ID', '')[:60]}"
    if datatype not in _KNOWN:
        known = ", ".join(sorted(_KNOWN))
        raise VotableError(f"{what}: datatype {datatype[:60]!r} cannot be read; known: {known}")
    size = arraysize.strip() if arraysize and arraysize.strip() else None
    if size is not None and not _SIZE.fullmatch(size):
        raise VotableError(f"{what}: arraysize {size[:60]!r} is not one of VOTable")
    if size == "1" and datatype not in TEXTS:
        # VOTable 1.3, erratum 3: it means the same as no arraysize.
        size = None
    facts = [field.get(fact) or None for fact in ("xtype", "unit", "ucd", "utype", "description")]
    return Field(name, datatype, size, *facts)


def _null_value(column: Field, text: str | None) -> int | float | None:
    """Return the number that stands for NULL in a column; `None` if no number does."""
    if text is None or column.datatype not in _NUMBERS:
        return None
    datatype = COMPLEX.get(column.datatype, column.datatype)
    try:
        value: int | float | None = cell_reader(Field(column.name, datatype))(text)
    except ValueReadError:
        # What is no number is in no row.
        return None
    if datatype == "float" and value is not None and math.isfinite(value):
        (value,) = struct.unpack(">f", struct.pack(">f", value))
    return value


def _checked_cells(column: Field, null: str | None) -> Callable[[str], Any]:
    """Return what makes a plain value of a cell, with as many elements as its column says."""
    is_number = column.datatype in _NUMBERS
    read = cell_reader(column, (null or "") if is_number else None)
    shape = shape_of(column)
    if shape is None or column.datatype in TEXTS:
        return read
    *outer, last = shape.split("x")
    step = math.prod(map(int, outer))
    most = step * int(last.rstrip("*")) if last != "*" else None
    is_fixed = not last.endswith("*")

    def checked(text: str) -> Any:
        values = read(text)
        if values is None:
            return None
        count = len(values)
        if count % step or (most is not None and count > most) or (is_fixed and count != most):
            raise ValueReadError(
                f"column {column.name}", f"it has {count} elements, and its arraysize is {shape}"
            )
        return values

    return checked


def _require_encoding(_version: str, encoding: str | None, _standalone: int) -> None:
    """Refuse what Python's expat can read no text of: it has codes of one byte, UTF-8 and UTF-16."""
    if encoding is None or encoding.lower() in _OF_EXPAT:
        return
    try:
        is_known = len(bytes(range(256)).decode(encoding, "replace")) == 256  # noqa: PLR2004  one of each byte
    except (LookupError, UnicodeError):
        is_known = False
    if not is_known:
        raise VotableError(f"its encoding {encoding[:60]!a} cannot be read; save it as UTF-8")


def _refuse_doctype(*_: object) -> None:
    # A VOTable needs none, and what it declares could be expanded without end.
    raise VotableError("it has a document type declaration, which no VOTable needs")
