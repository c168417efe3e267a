"""Files of results, read alone: the record in a VOTable, and whether rows and all else are what it says.

The XML is a stream of which no more than a piece is kept; a file is read once for what stands around its rows
and once for the rows.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import unescape

from adql import OutputColumn
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.replaying.digest import digest_of_plain, digests_of_resaved
from ppdb_replay.replaying.execution import SOFTWARE
from ppdb_replay.replaying.record import ReplayRecord, is_as_written
from ppdb_replay.votable import writer
from tapdb.errors import ValueReadError
from tapdb.votable import Field
from tapdb.votable.fields import TEXTS, element_null, field_identifiers
from tapdb.votable.first_table import VotableError, VotableReader
from tapdb.votable.tabledata import json_reader, text_reader
from tapdb.votable.text import json_columns, read_csv
from tapdb.xml_text import attributes_as_read

_PREFIX = "ppdb_"
_OF_VALUES = ("name", "datatype", "arraysize")
_LONGEST = 60
_Row = tuple[Any, ...]


def read_votable_record(path: Path) -> ReplayRecord:
    """Return the record of a VOTable file.

    Parameters
    ----------
    path
        A file that `write_votable` wrote, even if other software saved it since.

    Raises
    ------
    ReplayRecordError
        It is no VOTable, has no record or more than one, or says something else elsewhere.
    """
    try:
        with path.open("rb") as stream:
            return record_of_votable(stream)
    except OSError as error:
        raise ReplayRecordError(str(error.strerror), str(path)) from error
    except ReplayRecordError as error:
        raise ReplayRecordError(error.problem, str(path)) from error


def record_of_votable(stream: IO[bytes]) -> ReplayRecord:
    """Return the record of a VOTable that is read from a stream.

    Parameters
    ----------
    stream
        The XML; it is read only once and not kept.

    Raises
    ------
    ReplayRecordError
        As in `read_votable_record`.
    """
    document = _Document()
    _read(stream, document)
    record = ReplayRecord.from_json(document.record_text())
    if problem := next(_wrong_infos(document.infos, writer.replay_infos(record)), None):
        raise ReplayRecordError(problem)
    return record


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What a file of a result is.

    Parameters
    ----------
    record
        Its record; `None` if it cannot be read.
    problems
        What does not agree with the record; nothing if the file is whole.
    note
        What could not be told.
    has_rows
        Whether there are rows beside the record.
    """

    record: ReplayRecord | None
    problems: tuple[str, ...] = ()
    note: str = ""
    has_rows: bool = True


def check_votable(path: Path, known: ReplayRecord | None = None) -> FileCheck:
    """Return whether rows, columns and all else in a VOTable file are what its record says.

    Parameters
    ----------
    path
        A file that `write_votable` wrote. Other software may have saved it again, if it kept all values.
    known
        The record to take if the file has lost its own: then names, types and values of columns are compared
        and not what else is said of them.

    Raises
    ------
    ReplayRecordError
        It cannot be opened, or is no VOTable.
    """
    document = _Document()
    record = None
    try:
        with path.open("rb") as stream:
            _read(stream, document)
        if known is not None and not document.has_record:
            record, text, document.is_resaved = known, "", True
        else:
            text = document.record_text()
            record = ReplayRecord.from_json(text)
        infos = (
            *writer.replay_infos(record),
            *writer.origin_infos(record, writer.TapService(), writer.ResultOrigin()),
        )
        problems = [
            *(edited_record(text, record) if text else ()),
            *_wrong_infos(document.infos, infos),
            *(_missing_infos(document.infos, infos) if text else ()),
            *_wrong_frame(document, record),
        ]
        wrong_fields = list(_wrong_fields(document, record, facts=bool(text)))
        # What is no value of its column has no digest.
        wrong_rows, note = ([], "") if wrong_fields else _wrong_rows(path, document, record)
    except OSError as error:
        raise ReplayRecordError(str(error.strerror), str(path)) from error
    except ReplayRecordError as error:
        if document.root != "VOTABLE":
            raise ReplayRecordError(error.problem, str(path)) from error
        return FileCheck(record, (error.problem,))
    except ValueReadError as error:
        return FileCheck(record, (str(error),))
    return FileCheck(record, (*problems, *wrong_fields, *wrong_rows), note)


def edited_record(text: str, record: ReplayRecord) -> Iterator[str]:
    """Yield what is wrong with the text of a record that can be read.

    Parameters
    ----------
    text
        The record as a file holds it.
    record
        The same, read.
    """
    found = is_as_written(text)
    # Other software may state no digest.
    if found is False or (found is None and record.software == SOFTWARE):
        yield "the record was edited: its parts do not have the digest that it states"


def check_rows(path: Path, record: ReplayRecord) -> FileCheck:
    """Return whether the rows in a file of CSV, TSV or JSON are those of a record.

    Parameters
    ----------
    path
        What ``--format csv`` or ``--format json`` wrote beside the record.
    record
        The record.

    Raises
    ------
    ReplayRecordError
        The file cannot be read as either.
    """
    try:
        _refuse_packed(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.read(1)
        if first in _DRAWN:
            raise ReplayRecordError(
                "rows in a table for people cannot be compared: write them as csv, json or votable", str(path)
            )
        problems, rows = (_json_rows if first == "{" else _csv_rows)(path, record)
        # What is no value of its column has no digest.
        found, note = ([], "") if problems else _wrong_text_rows(rows, record)
    except OSError as error:
        raise ReplayRecordError(str(error.strerror), str(path)) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ReplayRecordError(f"it is no text of rows: {error}", str(path)) from error
    except ValueReadError as error:
        return FileCheck(record, (str(error),))
    return FileCheck(record, (*problems, *found), note)


_DRAWN = frozenset("┏+")
_BINARY = {b"PAR1": "Parquet", b"SIMPLE": "FITS", b"\xff\xff\xff\xff": "Arrow", b"PK\x03\x04": "ZIP"}
_SEPARATORS = (",", "\t")
_Rows = Callable[[], Iterable[_Row]]


def _refuse_packed(path: Path) -> None:
    with path.open("rb") as stream:
        begin = stream.read(8)
    for mark, form in _BINARY.items():
        if begin.startswith(mark):
            problem = f"rows in {form} cannot be compared: write them as csv, tsv, json or votable"
            raise ReplayRecordError(problem, str(path))


def _csv_rows(path: Path, record: ReplayRecord) -> tuple[list[str], _Rows]:
    readers = [text_reader(column) for column in record.columns]
    names = [column.name for column in record.columns]

    def lines(separator: str) -> Iterator[list[str | None]]:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            # What has more cells is no row of this record, however long it is.
            yield from read_csv(stream, separator=separator, most_cells=len(names))

    def rows() -> Iterator[_Row]:
        for separator in _SEPARATORS:
            with suppress(ValueReadError):
                if next(lines(separator), []) == names:
                    break
        else:
            raise ValueReadError("the first row", f"it does not name the columns {', '.join(names)}")
        for cells in islice(lines(separator), 1, None):
            yield _row(readers, cells)

    return [], rows


def _json_rows(path: Path, record: ReplayRecord) -> tuple[list[str], _Rows]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        return [f"it is no JSON: {error}"], tuple
    expected = {"columns": json_columns(record.columns), "overflow": record.overflow}
    problems = [
        f"{name} is {json.dumps(content.get(name))[:_LONGEST]}, and not {json.dumps(value)[:_LONGEST]}"
        for name, value in expected.items()
        if content.get(name) != value
    ]
    rows = content.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return [*problems, "rows is no list of rows"], tuple
    readers = [json_reader(column) for column in record.columns]
    return problems, lambda: (_row(readers, row) for row in rows)


def _row(readers: Sequence[Callable[[Any], Any]], cells: Sequence[Any]) -> _Row:
    if len(cells) != len(readers):
        raise ValueReadError("a row", f"it has {len(cells)} cells, and there are {len(readers)} columns")
    return tuple([read(cell) for read, cell in zip(readers, cells, strict=True)])


def _wrong_text_rows(rows: _Rows, record: ReplayRecord) -> tuple[list[str], str]:
    """Return what is wrong with the rows of CSV or JSON, and what could not be told."""
    without = record.guarantee.approximate_columns
    left_out = [record.columns[place - 1].name for place in without if place <= len(record.columns)]
    note = f"columns {', '.join(left_out)} do not come again and were not compared" if left_out else ""
    count = 0

    def counted() -> Iterator[_Row]:
        nonlocal count
        for row in rows():
            count += 1
            yield row

    found, *looser = digests_of_resaved(record.columns, counted(), without=without)
    if count != record.row_count:
        return [f"it has {count} rows, and {record.row_count} in the record"], note
    if found == record.digest:
        return [], note
    if record.digest in looser:
        lost = "the file does not tell NULL from NaN or from an empty text"
        return [], f"{note}; {lost}" if note else lost
    lost = "JSON, which has no NaN and no infinity, or other software lost what is NULL"
    return [f"its rows have the digest {found}, and {record.digest} in the record, or {lost}"], note


@dataclass(slots=True)
class _Document:
    """What stands around the rows of a VOTable."""

    root: str = ""
    infos: list[tuple[str, str]] = field(default_factory=list)
    fields: list[dict[str, str]] = field(default_factory=list)
    descriptor: list[tuple[str, str]] = field(default_factory=list)
    tables: list[dict[str, str]] = field(default_factory=list)
    form: str = ""
    is_resaved: bool = False
    _meta: list[bool] = field(default_factory=list)

    def see(self, path: Sequence[str], attributes: dict[str, str]) -> None:
        """Take what stands around the rows from an element."""
        local = path[-1]
        self.root = path[0]
        match local:
            case "RESOURCE":
                del self._meta[path.count("RESOURCE") - 1 :]
                self._meta.append(attributes.get("ID") == writer.DESCRIPTOR_ID)
            case "INFO" | "PARAM":
                self._add_info(path, attributes)
            case "TABLE":
                self.tables.append(attributes)
        if len(self.tables) == 1 and path[-2:-1] == ["DATA"] and local != "INFO":
            self.form = local
            self.is_resaved |= local != "BINARY2"

    def _add_info(self, path: Sequence[str], attributes: dict[str, str]) -> None:
        fact = (attributes.get("name", ""), attributes.get("value", ""))
        resources = path.count("RESOURCE")
        if resources and self._meta[resources - 1]:
            self.descriptor.append(fact)
            return
        if fact[0] == writer.RECORD_INFO:
            # STIL makes PARAM elements of INFO ones, astropy gives each an ID.
            self.is_resaved |= path[-1] == "PARAM" or "ID" in attributes
        self.infos.append(fact)

    @property
    def has_record(self) -> bool:
        """Whether an INFO element is called as that of a record."""
        return any(name == writer.RECORD_INFO for name, _ in self.infos)

    def record_text(self) -> str:
        """Return the text of the one record in the INFO elements."""
        records = {value for name, value in self.infos if name == writer.RECORD_INFO}
        if len(records) != 1:
            found = "more than one" if records else "no"
            raise ReplayRecordError(f"the VOTable has {found} INFO called {writer.RECORD_INFO}")
        return records.pop()

    def columns(self) -> tuple[Field, ...]:
        """Return the columns as the FIELD elements describe them."""
        names = ("name", "datatype", "arraysize", "xtype", "unit", "ucd", "utype", "description")
        return tuple(
            Field(one.get("name", ""), one.get("datatype", ""), *(one.get(name) for name in names[2:]))
            for one in self.fields
        )


def _read(stream: IO[bytes], document: _Document) -> None:
    reader = VotableReader(stream, seen=document.see, with_rows=False)
    # What has come before an error is known too.
    document.fields = reader.fields
    try:
        for _ in reader.rows():
            pass
    except VotableError as error:
        raise ReplayRecordError(error.problem) from error


_Infos = Iterable[tuple[str, str]]


def _wrong_infos(found: _Infos, expected: _Infos) -> Iterator[str]:
    """Yield in which INFO elements a file says something else than its record."""
    wanted = Counter(
        (name, attributes_as_read(value)) for name, value in expected if name != writer.RECORD_INFO
    )
    names = {name for name, _ in wanted}
    there = Counter(
        (name, attributes_as_read(value))
        for name, value in found
        if name in names
        or (name.startswith(_PREFIX) and name not in {writer.RECORD_INFO, writer.ALL_COLUMNS_INFO})
    )
    for name, value in there - wanted:
        shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
        yield f"INFO {name} does not agree with {writer.RECORD_INFO}: the file was edited, it says {shown!r}"


def _missing_infos(found: _Infos, expected: _Infos) -> Iterator[str]:
    wanted, there = Counter(name for name, _ in expected), Counter(name for name, _ in found)
    for name in wanted - there:
        yield f"INFO {name} is missing: the file was edited"


def _wrong_frame(document: _Document, record: ReplayRecord) -> Iterator[str]:
    """Yield what status, number of tables and descriptor say otherwise."""
    statuses = {value for name, value in document.infos if name == "QUERY_STATUS"}
    allowed = {"OK", "OVERFLOW"} if record.overflow else {"OK"}
    if statuses - allowed or (not document.is_resaved and statuses != allowed):
        said, wanted = (", ".join(sorted(names)) or "missing" for names in (statuses, allowed))
        yield f"QUERY_STATUS is {said}, and not {wanted}"
    if len(document.tables) != 1:
        yield f"it has {len(document.tables)} tables, and not one"
    elif (count := document.tables[0].get("nrows")) is not None and count != str(record.row_count):
        yield f"nrows is {count}, and {record.row_count} in the record"
    if document.descriptor:
        given = dict(document.descriptor)
        service = writer.TapService(
            access_url=given.get("accessURL", ""), ivoid=given.get("resourceIdentifier", "")
        )
        made = writer.replay_service(record, service)
        expected = {_as_kept(param.name, param.value) for param in (*made.params, *made.inputs)}
        there = {_as_kept(*fact) for fact in document.descriptor}
        for name in sorted({name for name, _ in expected ^ there}):
            yield f"PARAM {name} of the service descriptor does not agree with {writer.RECORD_INFO}"


def _as_kept(name: str, value: str) -> tuple[str, str]:
    # astropy 8.0 escapes values of PARAM twice.
    return name, unescape(attributes_as_read(value), {"&quot;": '"', "&apos;": "'"})


def _wrong_fields(document: _Document, record: ReplayRecord, *, facts: bool) -> Iterator[str]:
    """Yield in which FIELD elements a file says something else than its record.

    Without `facts` only what its values depend on is compared.
    """
    if len(document.fields) != len(record.columns):
        yield f"it has {len(document.fields)} columns, and {len(record.columns)} in the record"
        return
    services = (writer.DESCRIPTOR_ID,) if document.descriptor else ()
    identifiers = field_identifiers(record.columns, services)
    for column, found, identifier in zip(record.columns, document.fields, identifiers, strict=True):
        for name, value in _field_facts(column, found, identifier):
            if not facts and name not in _OF_VALUES:
                continue
            if found.get(name) != value and not (
                document.is_resaved and _is_lost(column, name, found.get(name))
            ):
                said = "missing" if name not in found else repr(found[name])
                yield f"FIELD {column.name}: {name} is {said}, and not {value!r}"


def _is_lost(column: OutputColumn, name: str, value: str | None) -> bool:
    """Return whether other software loses what a FIELD says, and no value with it."""
    if name == "unit":
        return _is_same_unit(column.unit or "", value or "")
    return name == "null" or (name == "arraysize" and column.datatype in TEXTS and value == "*")


def _is_same_unit(unit: str, other: str) -> bool:
    """Return whether astropy spells a unit otherwise, as ``nJy.d**-1`` for ``nJy/d``."""
    if find_spec("astropy") is None or max(len(unit), len(other)) > _LONGEST:
        return False
    from astropy.units import Unit  # noqa: PLC0415  it takes its time to load

    try:
        return bool(Unit(unit) == Unit(other, format="vounit"))
    except (ValueError, TypeError):
        return False


def _field_facts(
    column: OutputColumn, found: dict[str, str], identifier: str | None
) -> Iterator[tuple[str, str | None]]:
    """Yield what a FIELD has to say."""
    null = element_null(column)
    datatype, arraysize = column.datatype, column.arraysize
    if datatype in TEXTS:
        # As `written_fields` describes text: its characters count, and not how long it may be.
        datatype = found["datatype"] if found.get("datatype") in TEXTS else datatype
        fits = datatype == "char" and arraysize is not None and arraysize.endswith("*")
        arraysize = arraysize if fits else "*"
    yield "name", column.name
    yield "datatype", datatype
    yield "arraysize", arraysize
    for name in ("xtype", "unit", "ucd", "utype"):
        yield name, getattr(column, name) or None
    yield "description", " ".join((column.description or "").split()) or None
    yield "null", None if null is None else str(null)
    if identifier is not None:
        yield "ID", identifier


def _wrong_rows(path: Path, document: _Document, record: ReplayRecord) -> tuple[list[str], str]:
    """Return what is wrong with the rows, and what could not be told."""
    has_data = bool(document.form) or record.row_count > 0
    if has_data and document.form not in {"BINARY2", "TABLEDATA"}:
        return [f"its rows are {document.form or 'missing'}; save it as BINARY2, which tells NULL"], ""
    approximate = record.guarantee.approximate_columns
    wanted = [(record.digest, approximate)]
    if approximate:
        # The record does not count them, since they do not come again; the file has them all the same.
        wanted += [(value, ()) for name, value in document.infos if name == writer.ALL_COLUMNS_INFO][:1]
        if len(wanted) == 1:
            return [f"INFO {writer.ALL_COLUMNS_INFO} is missing: the file was edited"], ""
    problems: list[str] = []
    note = ""
    for digest, without in wanted:
        rows = _FileRows(path, document)
        if document.is_resaved:
            found, *looser = digests_of_resaved(record.columns, rows, without=without)
        else:
            found, looser = digest_of_plain(record.columns, rows, without=without), []
        if found == digest:
            if not (document.is_resaved or rows.is_canonical):
                problems.append("cells that are NULL hold something")
        elif digest in looser:
            note = "the file was saved by software that does not tell NULL from NaN or from an empty text"
        elif rows.count != record.row_count:
            problems.append(f"it has {rows.count} rows, and {record.row_count} in the record")
        else:
            lost = ", or other software lost what is NULL" if document.is_resaved else ""
            problems.append(f"its rows have the digest {found}, and {digest} in the record{lost}")
    return list(dict.fromkeys(problems)), note


class _FileRows:
    """The rows of a file, read once."""

    def __init__(self, path: Path, document: _Document) -> None:
        self.count = 0
        self.is_canonical = True
        self._path = path
        self._columns = document.columns()

    def __iter__(self) -> Iterator[_Row]:
        with self._path.open("rb") as stream:
            reader = VotableReader(stream, columns=self._columns)
            try:
                for row in reader.rows():
                    self.count += 1
                    yield row
            except VotableError as error:
                raise ReplayRecordError(error.problem) from error
        self.is_canonical = reader.is_canonical
