"""From a VOTable file alone: the record, the same rows, and the request with which pyvo gets them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.io.votable
import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from pyvo.dal.adhoc import DatalinkQuery
from pyvo.dal.tap import TAPResults

from ppdb_replay import capture, replay
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.votable.file_record import read_votable_record, record_of_votable
from ppdb_replay.votable.writer import TapService, write_votable
from tests.ppdb_replay.changing_ppdb import change
from tests.ppdb_replay.query_forms import FORMS
from tests.ppdb_replay.votable_results import NASTY, as_votable, made_up_result, tap_service

Connection = psycopg.Connection[Any]

OBJECTS = "SELECT diaObjectId, validityStartMjdTai, ra, nDiaSources FROM DiaObject WHERE ra >= 0 AND ra < 400"
RECORD = b'<INFO name="ppdb_replay_record"'


@pytest.fixture
def ppdb(ppdb_database: sa.URL) -> Iterator[Connection]:
    """Return a PPDB that has changed twice."""
    target = ppdb_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as connection:
        change(connection, 1)
        change(connection, 2)
        yield connection


def shown(values: Any, dtype: Any) -> list[str]:
    """Return values as text, whether PostgreSQL or astropy returned them; NULL is an empty one."""
    known = ["" if value is None or value is np.ma.masked else value for value in values]
    return [str(dtype.type(value)) if value != "" and dtype.kind == "f" else str(value) for value in known]


def test_replay_from_the_file_alone_gives_the_same_digest(ppdb: Connection, tmp_path: Path) -> None:
    note = NASTY.replace("'", "''")
    texts = [*FORMS.values(), OBJECTS, f"SELECT ra,\r\n\t'{note}' AS \"a<b>&é\" FROM DiaObject -- <&>"]  # noqa: S608 - ADQL
    paths = []
    for number, text in enumerate(texts):
        result = capture(ppdb, text, exact_sums=True, max_rows=50)
        paths.append((tmp_path / f"{number}.xml", text, result.digest))
        with paths[-1][0].open("wb") as stream:
            write_votable(result, stream, service=TapService(access_url="http://127.0.0.1/sync"))
    change(ppdb, 3)
    for path, text, digest in paths:
        record = read_votable_record(path)
        assert record.natural == text
        again = replay(ppdb, record)
        assert again.digest == digest, text
        # And the file holds the rows that come again.
        array = astropy.io.votable.parse_single_table(str(path)).array
        assert len(array) == len(again.rows)
        for place, name in enumerate(array.dtype.names):
            dtype = array[name].dtype
            assert shown(array[name], dtype) == shown([row[place] for row in again.rows], dtype), text
    # The control: the natural queries have changed.
    assert sum(capture(ppdb, t, exact_sums=True, max_rows=50).digest != d for _, t, d in paths) > 20


def test_pyvo_repeats_the_query_from_the_file_alone(ppdb: Connection, tmp_path: Path) -> None:
    asked = []

    def answer(parameters: dict[str, str]) -> bytes:
        asked.append(parameters)
        rows = parameters.get("MAXREC")
        result = capture(ppdb, parameters["QUERY"], max_rows=None if rows is None else int(rows))
        return as_votable(result, TapService(access_url=url))

    with tap_service(answer) as url:
        for number, (text, max_rows) in enumerate([(OBJECTS, 30), (OBJECTS + " AND 'é<' <> ' &amp;'", None)]):
            first = capture(ppdb, text, max_rows=max_rows)
            path = tmp_path / f"{number}.xml"
            path.write_bytes(as_votable(first, TapService(access_url=url)))
            change(ppdb, 3 + number)
            assert capture(ppdb, text, max_rows=max_rows).digest != first.digest
            # From here on the file is all there is.
            results = TAPResults(astropy.io.votable.parse(str(path)))
            (service,) = results.iter_adhocservices()
            query = DatalinkQuery.from_resource([], service)
            again = query.execute_votable()
            assert asked[-1]["QUERY"] == first.record.repeatable
            infos = {info.name: info.value for info in again.resources[0].infos}
            assert infos["ppdb_digest"] == first.digest
            assert (again.get_first_table().array == results.votable.get_first_table().array).all()


def test_the_clock_of_the_first_answer_is_in_the_repeated_query_of_the_second(ppdb: Connection) -> None:
    first = record_of_votable(io.BytesIO(as_votable(capture(ppdb, OBJECTS))))
    change(ppdb, 3)
    second = capture(ppdb, first.repeatable).record
    assert (second.repeatable, second.digest) == (first.repeatable, first.digest)


def edited(old: bytes, new: bytes) -> bytes:
    content = as_votable(made_up_result())
    assert old in content
    return content.replace(old, new)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"not XML", "no XML"),
        (as_votable(made_up_result())[:500], "no XML"),
        (b"<html><body/></html>", "its root is html"),
        (b'<!DOCTYPE VOTABLE [<!ENTITY a "b">]><VOTABLE/>', "document type"),
        (b"<VOTABLE/>", "has no INFO called ppdb_replay_record"),
        (edited(RECORD, RECORD + b' value="{}"/><INFO name="x"'), "does not say"),
        (
            edited(b'<INFO name="ppdb_snapshot" value="41"', b'<INFO name="ppdb_snapshot" value="42"'),
            "edited",
        ),
        (edited(b"</RESOURCE>", RECORD + b' value="{}"/></RESOURCE>'), "more than one"),
        (edited(b"&quot;natural&quot;", b"&quot;unnatural&quot;"), "something is missing"),
        (gzip.compress(as_votable(made_up_result())), "no XML"),
    ],
)
def test_a_file_without_one_whole_record_is_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "result.xml"
    path.write_bytes(content)
    with pytest.raises(ReplayRecordError, match=problem) as caught:
        read_votable_record(path)
    assert caught.value.source == str(path)


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ReplayRecordError, match="No such file"):
        read_votable_record(tmp_path / "nothing.xml")


def test_a_prefix_of_names_does_not_matter() -> None:
    content = as_votable(made_up_result()).replace(b"<INFO", b"<v:INFO").replace(b"<VOTABLE", b"<v:VOTABLE")
    content = content.replace(b"</VOTABLE", b"</v:VOTABLE").replace(b"xmlns=", b"xmlns:v=")
    assert record_of_votable(io.BytesIO(content)) == made_up_result().record
