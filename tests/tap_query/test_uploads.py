"""Tables that users bring come out of the database as they went in, from each program that writes them."""

from __future__ import annotations

import base64
import gzip
import io
import math
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import astropy.io.votable
import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from astropy.io.votable.tree import VOTableFile
from hypothesis import given, settings
from hypothesis import strategies as st

from adql import Metadata, parse, to_postgres
from adql.errors import AdqlNameError
from tap_query.errors import UploadError, UploadTooLargeError
from tap_query.execute import QueryResult, fetch
from tap_query.uploads.tables import UploadLimits, create_uploads
from tapdb.postgres.engine import ReadOnlyServerError, RightRefusedError
from tapdb.votable import Document, Field, plain_rows, write_votable, written_fields
from tests.adql.test_indexes import METADATA, SETUP, indexes_of

Connection = psycopg.Connection[Any]
Rows = Sequence[tuple[Any, ...]]

NAN, INF = math.nan, math.inf
COLUMNS = (
    Field("id", "int", ucd="meta.id;meta.main", description="Number of the row"),
    Field("a_bool", "boolean"),
    Field("a_byte", "unsignedByte"),
    Field("a_short", "short"),
    Field("a_long", "long", utype="a:b.c"),
    Field("a_float", "float", unit="mag"),
    Field("a_double", "double", unit="km.s**-1", ucd="spect.dopplerVeloc"),
    Field("a_text", "char", "*"),
    Field("a_word", "unicodeChar", "*"),
    Field("a_time", "char", "*", "timestamp"),
    Field("a_uuid", "char", "*", "uuid"),
    Field("a_point", "double", "2", "point", "deg", "pos.eq"),
    Field("a_circle", "double", "3", "circle", "deg"),
    Field("a_polygon", "double", "*", "polygon", "deg"),
    Field("an_interval", "double", "2", "interval"),
    Field("some_floats", "float", "*"),
    Field("some_longs", "long", "3"),
    Field("a_matrix", "int", "2x3"),
    Field("some_pairs", "short", "2x*"),
)
ROWS: Rows = (
    (
        *(1, True, 0, -(2**15) + 1, -(2**63) + 1, -3.4028235e38, -1.7976931348623157e308),
        *("x", "日本 é", "2024-02-29T23:59:59.999999", "00000000-0000-0000-0000-000000000001"),
        *([0.1, -90.0], [359.99999999999994, 89.99999999999999, 1e-9], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]),
        *([1.5, INF], [0.5, INF, -0.0], [2**63 - 1, 0, -5], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4]),
    ),
    (
        *(2, False, 254, 2**15 - 1, 2**63 - 1, 1e-45, 5e-324),
        *(" <b> & \"q\", 'a' ", "<&>", "1999-12-31T00:00:00", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        *([180.0, 90.0], [0.1, 0.2, 90.0], [10.1, 10.2, 11.3, 10.4, 11.5, 11.6, 10.7, 11.8]),
        *([-INF, 2.5], [1.0], [1, 2, 3], [-1, 0, 1, -(2**31) + 1, 2**31 - 1, 7], [-1, 1]),
    ),
)
# STILTS has no character beyond the first 65,536, and takes 255 and the smallest number for NULL in BINARY.
NULLS = (3, *[None] * (len(COLUMNS) - 1))


@pytest.fixture(scope="module")
def database(clone_for_session: Callable[[str], sa.URL], template_database: str) -> str:
    """Return the URL of a database with pg_sphere, as libpq has it."""
    url = clone_for_session(template_database).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """Return a connection whose transaction is rolled back."""
    with psycopg.connect(database) as connection:
        yield connection
        connection.rollback()


def votable(rows: Rows, columns: Sequence[Field] = COLUMNS, serialization: str = "BINARY2") -> io.BytesIO:
    """Return a file of our own writer."""
    stream = io.BytesIO()
    document = Document(columns=written_fields(columns, rows))
    write_votable(document, rows, stream, serialization=serialization)  # type: ignore[arg-type]
    stream.seek(0)
    return stream


def tabledata(fields: str, *cells: Sequence[str]) -> io.BytesIO:
    """Return a file with the text of each cell."""
    rows = "".join("<TR>" + "".join(f"<TD>{cell}</TD>" for cell in row) + "</TR>" for row in cells)
    return document_of(fields, f"<TABLEDATA>{rows}</TABLEDATA>")


def binary(fields: str, content: bytes, form: str = "BINARY") -> io.BytesIO:
    """Return a file with the bytes of all rows."""
    text = base64.b64encode(content).decode()
    return document_of(fields, f"<{form}><STREAM encoding='base64'>{text}</STREAM></{form}>")


def document_of(fields: str, data: str, before: str = "") -> io.BytesIO:
    return io.BytesIO(
        f"<VOTABLE version='1.4' xmlns='http://www.ivoa.net/xml/VOTable/v1.3'><RESOURCE>{before}<TABLE>"
        f"{fields}<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>".encode()
    )


def ask(connection: Connection, text: str, **files: io.BytesIO) -> QueryResult:
    """Upload files and return what a query gives."""
    tables = create_uploads(connection, files)
    compiled = to_postgres(parse(text), Metadata(tables))
    return fetch(connection, compiled, max_rows=None)


def brought_back(connection: Connection, file: io.BytesIO) -> list[tuple[Any, ...]]:
    """Upload a file and return its rows as a VOTable would have them."""
    result = ask(connection, "SELECT * FROM TAP_UPLOAD.mine", mine=file)
    rows = list(plain_rows(result.columns, result.rows))
    connection.rollback()
    return rows


Write = Callable[[Sequence[Field], Rows, Path], io.BytesIO]


def by_ours(serialization: str) -> Write:
    return lambda columns, rows, _: votable(rows, columns, serialization)


def by_astropy(form: str) -> Write:
    def write(columns: Sequence[Field], rows: Rows, _: Path) -> io.BytesIO:
        file: VOTableFile = astropy.io.votable.parse(votable(rows, columns))
        stream = io.BytesIO()
        file.to_xml(stream, tabledata_format=form)
        stream.seek(0)
        return stream

    return write


def by_stilts(form: str) -> Write:
    def write(columns: Sequence[Field], rows: Rows, folder: Path) -> io.BytesIO:
        source, target = folder / "source.vot", folder / "target.vot"
        source.write_bytes(votable(rows, columns).getvalue())
        subprocess.run(
            ["stilts", "tpipe", f"in={source}", "ifmt=votable", f"out={target}", f"ofmt=votable({form})"],
            check=True,
        )
        return io.BytesIO(target.read_bytes())

    return write


WRITERS = {
    "ours TABLEDATA": by_ours("TABLEDATA"),
    "ours BINARY2": by_ours("BINARY2"),
    "astropy TABLEDATA": by_astropy("tabledata"),
    "astropy BINARY": by_astropy("binary"),
    "astropy BINARY2": by_astropy("binary2"),
    "stilts TABLEDATA": by_stilts("format=TABLEDATA"),
    "stilts BINARY": by_stilts("format=BINARY"),
    "stilts BINARY2": by_stilts("format=BINARY2"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_each_type_comes_back_from_each_serialization_of_each_writer(
    writer: str, connection: Connection, tmp_path: Path
) -> None:
    program, form = writer.split()
    # BINARY has no NULL for most types.
    rows = [*ROWS] if form == "BINARY" else [*ROWS, NULLS]
    columns: Sequence[Field] = COLUMNS
    if program == "astropy":
        # Release 8.0 writes variable arrays of float as double, and counts pairs where others count numbers.
        columns = tuple(one for one in COLUMNS if one.name not in {"some_floats", "some_pairs"})
    rows = [tuple(row[COLUMNS.index(one)] for one in columns) for row in rows]
    file = WRITERS[writer](columns, rows, tmp_path)
    assert f"<{form}>".encode() in file.getvalue()
    found = [list(row) for row in brought_back(connection, file)]
    if program == "stilts" and form != "BINARY":
        # It has no NULL for real numbers.
        assert all(map(math.isnan, found[2][5:7]))
        found[2][5:7] = None, None
    if writer == "astropy BINARY2":
        # It has no NULL for texts; as a time or UUID, an empty one is NULL.
        assert found[2][7:9] == ["", ""]
        found[2][7:9] = None, None
    assert repr(found) == repr([list(row) for row in rows])


def test_columns_come_back_with_what_was_said_of_them(connection: Connection) -> None:
    result = ask(connection, "SELECT u.*, a_double AS other FROM TAP_UPLOAD.mine u", mine=votable(ROWS))
    facts = ("xtype", "unit", "ucd", "utype", "description")
    for column, field in zip(result.columns, (*COLUMNS, COLUMNS[6]), strict=True):
        assert [getattr(column, fact) for fact in facts] == [getattr(field, fact) for fact in facts]
        assert (column.datatype == "char") is (field.datatype in {"char", "unicodeChar"}) or (
            column.datatype == field.datatype
        )
    assert [column.name for column in result.columns] == [*(field.name for field in COLUMNS), "other"]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)
LONGS = st.integers(-(2**63) + 1, 2**63 - 1)
VALUES = (
    Field("l", "long"),
    Field("d", "double"),
    Field("f", "float"),
    Field("t", "char", "*"),
    Field("b", "boolean"),
    Field("a", "double", "*"),
    Field("n", "long", "*"),
    Field("p", "double", "2", "point"),
    Field("g", "double", "*", "polygon"),
)
ANGLE = st.floats(-400, 400) | st.floats()
DRAWN = st.lists(
    st.tuples(
        *(
            st.none() | strategy
            for strategy in (
                LONGS,
                st.floats(),
                st.floats(width=32),
                TEXT,
                st.booleans(),
                st.lists(st.floats() | st.none(), max_size=4),
                st.lists(LONGS | st.none(), max_size=4),
                st.lists(ANGLE, min_size=2, max_size=2),
                st.lists(ANGLE, max_size=9),
            )
        )
    ),
    max_size=5,
)


@settings(max_examples=30)
@given(rows=DRAWN, serialization=st.sampled_from(["TABLEDATA", "BINARY2"]))
def test_what_is_drawn_comes_back(database: str, rows: Rows, serialization: str) -> None:
    with psycopg.connect(database) as session:
        found = brought_back(session, votable(rows, VALUES, serialization))

    def kept(name: str, value: Any) -> Any:
        if name == "a" and value is not None:
            # NaN is how our files have NULL within an array of real numbers.
            value = [NAN if one is None else one for one in value]
        if name == "f" and value is not None:
            value = float(str(np.float32(value)))
        return None if serialization == "TABLEDATA" and value in ("", []) else value

    wanted = [[kept(name, value) for name, value in zip("ldftbanpg", row, strict=True)] for row in rows]
    assert repr([list(row) for row in found]) == repr(wanted)


MOMENTS = st.datetimes().map(lambda moment: moment.isoformat())
WRITTEN = (
    *("2016-12-31T23:59:60Z", "2016-12-31T24:00:00", "2000-01-01", "2000-01-01 12:34", "infinity"),
    *("-infinity", "0001-01-01T00:00:00", "0044-03-15T00:00:00 BC", "4714-11-24T00:00:00 BC"),
    *("294276-12-31T23:59:59.999999", "2024-02-29T00:00:00.1234567", "1900-03-01", "2000-02-29T01:02:03.4"),
)


@settings(max_examples=20)
@given(moments=st.lists(MOMENTS, max_size=20))
def test_times_are_those_that_postgresql_reads(database: str, moments: list[str]) -> None:
    times = [*WRITTEN, *moments]
    fields = "<FIELD name='t' datatype='char' arraysize='*' xtype='timestamp'/>"
    fields += "<FIELD name='s' datatype='char' arraysize='*'/>"
    with psycopg.connect(database) as session:
        (table,) = create_uploads(session, {"mine": tabledata(fields, *((time, time) for time in times))})
        name = psycopg.sql.Identifier(table.sql_schema or "", table.sql_name)
        statement = psycopg.sql.SQL(
            "SELECT column_2 FROM {} WHERE column_1 IS DISTINCT FROM CAST(column_2 AS timestamp)"
        )
        wrong = session.execute(statement.format(name)).fetchall()
        count = session.execute(psycopg.sql.SQL("SELECT count(column_1) FROM {}").format(name)).fetchone()
        session.rollback()
    assert wrong == []
    assert count == (len(times),)


@pytest.mark.parametrize(
    "time",
    [
        *("2023-02-29", "2023-13-01", "2023-00-01", "2023-01-00", "2023-04-31", "1900-02-29", "0000-01-01"),
        *("2024-01-01T24:00:01", "2024-01-01T12:60:00", "2024-01-01T00:00:61", "294277-01-01"),
        *(
            "4714-11-23 BC",
            "2024-01-01T00:00:00+02:00",
            "yesterday",
            "2024-1-1",
            "\u0662\u0660\u0662\u0664-01-01",
            "60000.5",
        ),
    ],
)
def test_what_is_no_time_is_refused_with_its_row(time: str, connection: Connection) -> None:
    field = "<FIELD name='t' datatype='char' arraysize='*' xtype='timestamp'/>"
    with pytest.raises(UploadError, match=r"^upload mine: row 2, column 1: '.*' is no timestamp; \w"):
        create_uploads(connection, {"mine": tabledata(field, ["2024-01-01"], [time])})


def field(name: str, datatype: str, null: str = "", **facts: str) -> str:
    attributes = " ".join(f"{fact}={quoteattr(value)}" for fact, value in facts.items())
    values = f"<VALUES null={quoteattr(null)}/>" if null else ""
    return f"<FIELD name={quoteattr(name)} datatype='{datatype}' {attributes}>{values}</FIELD>"


NULL_FIELDS = (
    field("i", "int", "-99") + field("f", "float", "-999.9") + field("a", "short", "7", arraysize="*")
)
NULL_NUMBERS = struct.pack(">ifi3h", -99, -999.9, 3, 1, 7, 3) + struct.pack(">ifi1h", 0, 0.0, 1, 7)


@pytest.mark.parametrize(
    "file",
    [
        tabledata(NULL_FIELDS, ["-99", "-999.90", "1 7 +7"[:5] + " 3"[1:]], ["0x0", "0", "0x7"]),
        binary(NULL_FIELDS, NULL_NUMBERS),
        binary(
            NULL_FIELDS,
            b"\0" + NULL_NUMBERS[:18] + b"\0" + NULL_NUMBERS[18:],
            "BINARY2",
        ),
    ],
    ids=["TABLEDATA", "BINARY", "BINARY2"],
)
def test_the_number_that_a_field_says_is_null(file: io.BytesIO, connection: Connection) -> None:
    first, second = brought_back(connection, file)
    assert first[:2] == (None, None)
    assert first[2][1] is None
    assert second == (0, 0.0, [None])


def test_what_binary_has_no_other_null_for_is_null(connection: Connection) -> None:
    fields = field("d", "double") + field("t", "char", arraysize="*") + field("w", "char", arraysize="3")
    fields += field("a", "int", arraysize="*") + field("b", "boolean")
    content = struct.pack(">di3sic", NAN, 0, b"\0ab", 0, b" ") + struct.pack(
        ">di1s3siic", 1.5, 1, b"x", b"ab\0", 1, 5, b"T"
    )
    assert brought_back(connection, binary(fields, content)) == [
        (None, None, None, None, None),
        (1.5, "x", "ab", [5], True),
    ]


def test_bits_complex_numbers_and_arrays_of_text_are_read(connection: Connection) -> None:
    fields = field("b", "bit") + field("bs", "bit", arraysize="10") + field("c", "floatComplex")
    fields += field("cs", "doubleComplex", arraysize="*") + field("t", "char", arraysize="4x2")
    content = b"\x80" + b"\xa0\x40" + struct.pack(">ffi4d", 1, -2, 2, 1, 2, 3, 4) + b"ab\0\0abcd"
    bits = [True, False, True, *[False] * 6, True]
    wanted = [(True, bits, [1.0, -2.0], [1.0, 2.0, 3.0, 4.0], "ab  abcd")]
    assert brought_back(connection, binary(fields, content)) == wanted
    cells = ["1", "1010000001", "1 -2", "1 2 3 4", "ab  abcd"]
    assert brought_back(connection, tabledata(fields, cells)) == wanted


@pytest.mark.parametrize(
    ("datatype", "facts", "cell", "problem"),
    [
        ("int", {}, "2147483648", "is no int"),
        ("unsignedByte", {}, "-1", "is no unsignedByte"),
        ("int", {}, "1_000", "is no int"),
        ("int", {}, "\u0661", "is no int"),
        ("int", {}, "1.0", "is no int"),
        ("float", {}, "1e39", "is no float"),
        ("double", {}, "1_0.5", "is no double"),
        ("double", {}, "one", "is no double"),
        ("boolean", {}, "yes", "is no boolean"),
        ("bit", {}, "2", "is no bit"),
        ("int", {"arraysize": "3"}, "1 2", "has 2 elements"),
        ("int", {"arraysize": "3*"}, "1 2 3 4", "has 4 elements"),
        ("int", {"arraysize": "2x*"}, "1 2 3", "has 3 elements"),
        ("floatComplex", {}, "1", "has 1 elements"),
        ("char", {"arraysize": "36", "xtype": "uuid"}, "no-uuid", "is no uuid"),
    ],
)
def test_a_value_that_its_column_cannot_have_is_refused_with_its_row(
    datatype: str, facts: dict[str, str], cell: str, problem: str, connection: Connection
) -> None:
    with pytest.raises(UploadError, match=f"^upload mine: row 1, column .*{problem}"):
        create_uploads(connection, {"mine": tabledata(field("x", datatype, **facts), [cell])})


def test_an_xtype_that_does_not_fit_its_datatype_says_nothing(connection: Connection) -> None:
    fields = field("p", "char", arraysize="*", xtype="adql:POINT") + field("t", "double", xtype="timestamp")
    fields += field("c", "int", arraysize="3", xtype="circle") + field(
        "r", "char", arraysize="*", xtype="region"
    )
    cells = ["Position ICRS 1 2", "60000.5", "1 2 3", "POLYGON ICRS 1 2"]
    result = ask(connection, "SELECT * FROM TAP_UPLOAD.mine", mine=tabledata(fields, cells))
    assert [column.xtype for column in result.columns] == ["adql:POINT", "timestamp", "circle", "region"]
    assert result.rows == [("Position ICRS 1 2", 60000.5, [1, 2, 3], "POLYGON ICRS 1 2")]


# -- names
# ----------------------------------------------------------------------------------------------------------


def test_a_column_may_have_any_name_that_a_query_can_write(connection: Connection) -> None:
    names = ("B-V", "size", "2MASS", "a b", 'q"q', "%s", "é", "x" * 200, "Mag", "mag")
    fields = "".join(field(name, "int") for name in names)
    listed = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    file = tabledata(fields, [str(number) for number, _ in enumerate(names)])
    result = ask(connection, "SELECT " + listed + " FROM TAP_UPLOAD.mine", mine=file)  # noqa: S608
    assert result.rows == [tuple(range(len(names)))]
    assert tuple(column.name for column in result.columns) == names


@pytest.mark.parametrize("name", ["", " ", "a&#9;b", "a&#10;b", "\u202e", "x" * 300])
def test_a_name_that_nobody_can_write_is_refused(name: str, connection: Connection) -> None:
    fields = field("x", "int") + f"<FIELD name='{name}' datatype='int'/>"
    with pytest.raises(UploadError, match="column 2 has the name"):
        create_uploads(connection, {"mine": tabledata(fields)})


def test_two_columns_of_one_name_are_refused(connection: Connection) -> None:
    with pytest.raises(UploadError, match="two columns are called x; rename one of them"):
        create_uploads(connection, {"mine": tabledata(field("x", "int") * 2)})


# -- files
# ----------------------------------------------------------------------------------------------------------

X = field("x", "int")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (io.BytesIO(b""), "no XML"),
        (io.BytesIO(b"id,ra\n1,2\n"), "no XML"),
        (io.BytesIO(b"<html/>"), "its root is html"),
        (io.BytesIO(b"<VOTABLE/>"), "no table with a FIELD"),
        (tabledata("", []), "no FIELD"),
        (document_of(X, "<FITS><STREAM encoding='base64'/></FITS>"), "FITS file; save it as BINARY2"),
        (document_of(X, "<PARQUET/>"), "Parquet file; save it as BINARY2"),
        (document_of(X, "<OTHER/>"), "DATA has OTHER"),
        (
            document_of(X, "<BINARY2><STREAM href='file:///etc/passwd'/></BINARY2>"),
            "not in the file as base64",
        ),
        (document_of(X, "<BINARY2><STREAM encoding='base64'>!!!!</STREAM></BINARY2>"), "no base64"),
        (binary(X, b"\0\0\0\0\1\0\0", "BINARY2"), "no whole row"),
        (document_of(X, "<TABLEDATA/><TABLEDATA/>"), "DATA twice"),
        (
            document_of(X, "<TABLEDATA><TR><TD encoding='base64'>AAAA</TD></TR></TABLEDATA>"),
            "has an encoding",
        ),
        (tabledata(X, ["1", "2"]), "row 1, the row: it has more cells, and there are 1 columns"),
        (tabledata(X + field("y", "int"), ["1", "2"], ["1"]), "row 2, the row: it has 1 cells"),
        (tabledata(field("x", "text")), "datatype 'text' cannot be read; known: bit, boolean"),
        (tabledata(field("x", "int", arraysize="0")), "arraysize '0'"),
        (tabledata(field("x", "int", arraysize="*x2")), "arraysize"),
        (
            document_of(X, "<TABLEDATA/>", "<INFO name='QUERY_STATUS' value='ERROR'>no</INFO>"),
            "a result whose query failed",
        ),
        (io.BytesIO(gzip.compress(tabledata(X, ["1"]).getvalue())[:-9]), "its end is missing"),
        (io.BytesIO(b"\x1f\x8b" + b"x" * 99), "damaged"),
        (io.BytesIO(gzip.compress(gzip.compress(b"<VOTABLE/>"))), "no XML"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_what_is_wrong(
    file: io.BytesIO, problem: str, connection: Connection
) -> None:
    file.seek(0)
    with pytest.raises(UploadError, match=f"^upload mine: .*{problem}"):
        create_uploads(connection, {"mine": file})


def test_a_file_may_be_packed_and_in_parts_and_have_more_around_its_table(connection: Connection) -> None:
    content = document_of(
        X, "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA><INFO name='a' value='b'/>"
    ).getvalue()
    half = len(content) // 2
    packed = gzip.compress(content[:half]) + gzip.compress(content[half:]) + b"\0" * 7
    assert brought_back(connection, io.BytesIO(packed)) == [(1,)]
    second = f"<TABLE>{field('y', 'char')}<DATA><TABLEDATA><TR><TD>z</TD></TR></TABLEDATA></DATA></TABLE>"
    two = content.replace(b"</RESOURCE>", f"{second}</RESOURCE>".encode())
    assert brought_back(connection, io.BytesIO(two)) == [(1,)]
    prefixed = content.replace(b"<", b"<v:").replace(b"<v:/", b"</v:").replace(b"xmlns=", b"xmlns:v=")
    assert brought_back(connection, io.BytesIO(prefixed)) == [(1,)]
    utf16 = ("<?xml version='1.0' encoding='UTF-16'?>" + content.decode()).encode("utf-16")
    assert brought_back(connection, io.BytesIO(utf16)) == [(1,)]


def test_a_table_without_rows_has_its_columns(connection: Connection) -> None:
    for file in (tabledata(X), binary(X, b""), document_of(X, "")):
        assert brought_back(connection, file) == []


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (UploadLimits(max_rows=1), "more than 1 rows"),
        (UploadLimits(max_columns=18), "more than 18 columns"),
        (UploadLimits(max_bytes=500), "more than 500 bytes"),
        (UploadLimits(max_row_bytes=50), "50"),
        (UploadLimits(max_tables=0), "it names 1 tables, and 0 are the most"),
    ],
)
@pytest.mark.parametrize("serialization", ["TABLEDATA", "BINARY2"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_too_large_is_refused(
    limits: UploadLimits,
    problem: str,
    serialization: str,
    pack: Callable[[bytes], bytes],
    connection: Connection,
) -> None:
    file = io.BytesIO(pack(votable(ROWS, serialization=serialization).getvalue()))
    with pytest.raises(UploadError, match=problem) as caught:
        create_uploads(connection, {"mine": file}, limits)
    assert isinstance(caught.value, UploadTooLargeError) or limits.max_row_bytes == 50


def test_what_the_database_cannot_hold_is_the_fault_of_the_table(connection: Connection) -> None:
    fields = "".join(field(f"x{number}", "int") for number in range(1601))
    limits = UploadLimits(max_columns=2000)
    with pytest.raises(UploadError, match="upload mine: tables can have at most 1600 columns"):
        create_uploads(connection, {"mine": tabledata(fields)}, limits)


# -- the table
# ----------------------------------------------------------------------------------------------------------


def test_points_that_are_nowhere_come_back_and_are_nowhere(connection: Connection) -> None:
    columns = (Field("p", "double", "2", "point"), Field("ra", "double"), Field("dec", "double"))
    places = ((1.0, 2.0), (1.0, 95.0), (NAN, 0.0), (INF, 0.0), (0.0, NAN), (5e-324, -5e-324), (-359.0, 2.0))
    result = ask(
        connection,
        "SELECT p, DISTANCE(p, POINT(1, 2)) AS d, DISTANCE(POINT(ra, dec), POINT(1, 2)) AS e "
        "FROM TAP_UPLOAD.mine",
        mine=votable([([ra, dec], ra, dec) for ra, dec in places], columns),
    )
    assert repr([row[0] for row in result.rows]) == repr([list(place) for place in places])
    wanted = [0.0, None, None, None, None, math.sqrt(5), 0.0]
    for place in (1, 2):
        found = [row[place] for row in result.rows]
        assert [one is None for one in found] == [one is None for one in wanted]
        assert [one or 0 for one in found] == pytest.approx([one or 0 for one in wanted], abs=1e-3)


def test_circles_that_are_none_come_back_and_hold_nothing(connection: Connection) -> None:
    radii = (1.0, 90.0, 90.1, -1.0, NAN, INF, 5e-324)
    result = ask(
        connection,
        "SELECT c, CONTAINS(POINT(10.5, 0), c) AS k FROM TAP_UPLOAD.mine",
        mine=votable([([10.0, 0.0, radius],) for radius in radii], (Field("c", "double", "3", "circle"),)),
    )
    assert repr([row[0][2] for row in result.rows]) == repr(list(radii))
    assert [row[1] for row in result.rows] == [1, 1, None, None, None, None, 0]


def test_polygons_that_are_none_come_back_and_hold_nothing(connection: Connection) -> None:
    bow_tie = [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    rows = [
        (one,) for one in ([0.0, 0.0, 2.0, 0.0, 0.0, 2.0], bow_tie, [1.0, 2.0], [0.0, 0.0, 1.0], [0.0] * 8)
    ]
    result = ask(
        connection,
        "SELECT g, CONTAINS(POINT(0.5, 0.5), g) AS k FROM TAP_UPLOAD.mine",
        mine=votable(rows, (Field("g", "double", "*", "polygon"),)),
    )
    assert result.rows == [(rows[0][0], 1), *((row[0], None) for row in rows[1:])]


def test_uploads_join_each_other_and_catalogues_by_their_indexes(connection: Connection) -> None:
    psycopg.ClientCursor(connection).execute(SETUP.read_bytes())
    columns = (
        Field("id", "int"),
        Field("alpha", "double", unit="deg", ucd="pos.eq.ra;meta.main"),
        Field("delta", "double", unit="deg", ucd="pos.eq.dec;meta.main"),
        Field("p", "double", "2", "point"),
        Field("g", "double", "*", "polygon"),
    )
    rows = [
        (n, ra := n * 137.5 % 360, dec := n % 160 - 80.0, [ra, dec], [ra, dec, ra + 0.1, dec, ra, dec + 0.1])
        for n in range(3000)
    ]
    tables = create_uploads(connection, {"mine": votable(rows, columns)})
    metadata = METADATA.with_tables([tables[0]])
    # TAP_UPLOAD.mine of METADATA is another one.
    metadata = Metadata(tuple(one for one in metadata.tables if one.sql_name != "upload"))
    name = tables[0].sql_name
    cases = {
        "SELECT o.objectid FROM TAP_UPLOAD.mine AS u JOIN cat.Object AS o ON "
        "1 = CONTAINS(POINT(o.ra, o.dec), CIRCLE(u.alpha, u.delta, 0.01))": "object_position",
        "SELECT o.obs_id FROM TAP_UPLOAD.mine AS u JOIN ivoa.ObsCore AS o ON "
        "1 = CONTAINS(POINT(u.alpha, u.delta), o.s_region) WHERE u.id < 50": "obscore_region",
        "SELECT u.id FROM TAP_UPLOAD.mine AS u WHERE "
        "1 = CONTAINS(POINT(u.alpha, u.delta), CIRCLE(20, 10, 0.1))": f"{name}_stored_position_idx",
        "SELECT u.id FROM TAP_UPLOAD.mine AS u WHERE 1 = CONTAINS(p, CIRCLE(20, 10, 0.1))": (
            f"{name}_geometry_4_idx"
        ),
        "SELECT id FROM TAP_UPLOAD.mine AS u WHERE 1 = CONTAINS(POINT(20, 10), g)": f"{name}_geometry_5_idx",
        "SELECT u.id FROM TAP_UPLOAD.mine AS u JOIN TAP_UPLOAD.mine AS v ON "
        "DISTANCE(POINT(u.alpha, u.delta), POINT(v.alpha, v.delta)) < 0.01": f"{name}_stored_position_idx",
    }
    for text, index in cases.items():
        compiled = to_postgres(parse(text), metadata)
        with psycopg.RawCursor(connection) as cursor:
            row = cursor.execute("EXPLAIN (FORMAT JSON) " + compiled.sql, compiled.parameters).fetchone()
        assert row is not None
        assert index in indexes_of(row[0][0]["Plan"]), text
    count = connection.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [name]).fetchone()
    assert count == (3000,)


@pytest.mark.parametrize(
    ("names", "ucds"),
    [
        (("x", "y"), ("pos.eq.ra;meta.main", "POS.EQ.DEC;META.MAIN")),
        (("x", "y"), ("POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN")),
        (("x", "y"), ("pos.eq.ra", "pos.eq.dec")),
        (("RA", "DEC"), ("", "")),
        (("RAJ2000", "DEJ2000"), ("", "")),
    ],
)
def test_positions_are_found_by_ucd_and_by_name(
    names: tuple[str, str], ucds: tuple[str, str], connection: Connection
) -> None:
    columns = [Field(name, "float", ucd=ucd) for name, ucd in zip(names, ucds, strict=True)]
    (table,) = create_uploads(connection, {"mine": votable([(1.0, 2.0)], columns)})
    assert [(one.longitude, one.latitude) for one in table.positions] == [names]
    others = [Field(name, "char", "*") for name in names]
    (table,) = create_uploads(connection, {"mine": votable([("1", "2")], others)})
    assert table.positions == ()


def test_a_connection_may_see_one_query_over_tables_of_many_types(connection: Connection) -> None:
    # psycopg prepares what has come five times.
    for number in range(12):
        columns = (Field("x", "int") if number % 2 else Field("x", "char", "*"),)
        rows = [(number,) if number % 2 else (str(number),)]
        result = ask(connection, "SELECT x FROM TAP_UPLOAD.mine", mine=votable(rows, columns))
        assert result.rows == rows
        connection.rollback()


def test_tables_end_with_their_transaction(connection: Connection) -> None:
    statement = "SELECT count(*) FROM pg_class WHERE relname LIKE 'upload\\_%'"
    one, other = create_uploads(connection, {"one": votable(ROWS), "other": votable(ROWS)})
    assert one.sql_name != other.sql_name
    assert connection.execute(statement).fetchone() != (0,)
    connection.commit()
    assert connection.execute(statement).fetchone() == (0,)


def test_an_upload_is_found_only_by_the_request_that_brought_it(connection: Connection) -> None:
    tables = create_uploads(connection, {"mine": votable(ROWS)})
    for name in (tables[0].sql_name, f"pg_temp.{tables[0].sql_name}", "TAP_UPLOAD.yours"):
        query = parse("SELECT * FROM " + name)  # noqa: S608
        with pytest.raises(AdqlNameError):
            to_postgres(query, Metadata(tables))


def test_what_the_transaction_forbids_is_not_the_fault_of_the_table(connection: Connection) -> None:
    connection.execute("SET TRANSACTION READ ONLY")
    with pytest.raises(ReadOnlyServerError, match="making a table of upload mine"):
        create_uploads(connection, {"mine": votable(ROWS)})
    connection.rollback()
    database = psycopg.sql.Identifier(connection.info.dbname)
    connection.execute("CREATE ROLE uploads_nobody")
    connection.execute(psycopg.sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute("SET LOCAL ROLE uploads_nobody")
    with pytest.raises(RightRefusedError, match="making a table of upload mine"):
        create_uploads(connection, {"mine": votable(ROWS)})
