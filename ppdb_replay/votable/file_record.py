"""The replay record of a VOTable, read from the file alone."""

from pathlib import Path
from typing import IO
from xml.parsers import expat

from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.votable.writer import RECORD_INFO, replay_infos
from tapdb.xml_text import attributes_as_read

_PREFIX = "ppdb_"


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
    infos = _infos(stream)
    records = {value for name, value in infos if name == RECORD_INFO}
    if len(records) != 1:
        found = "more than one" if records else "no"
        raise ReplayRecordError(f"the VOTable has {found} INFO called {RECORD_INFO}")
    record = ReplayRecord.from_json(records.pop())
    expected = {(name, attributes_as_read(value)) for name, value in replay_infos(record)}
    for name, value in infos:
        if (
            name.startswith(_PREFIX)
            and name != RECORD_INFO
            and (name, attributes_as_read(value)) not in expected
        ):
            raise ReplayRecordError(f"INFO {name} does not agree with {RECORD_INFO}: the file was edited")
    return record


def _infos(stream: IO[bytes]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    root = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal root
        local = tag.rpartition(":")[2]
        root = root or local
        if root != "VOTABLE":
            raise ReplayRecordError(f"it is no VOTable: its root is {tag}")
        if local == "INFO":
            found.append((attributes.get("name", ""), attributes.get("value", "")))

    def doctype(*_: object) -> None:
        # A VOTable needs none, and what it declares could be expanded without end.
        raise ReplayRecordError("it has a document type declaration, which no VOTable needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.ParseFile(stream)
    except expat.ExpatError as error:
        raise ReplayRecordError(f"it is no XML: {error}") from error
    return found
