"""Results as the bytes of a file: each format and type, read by software that is not ours; errors; limits."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import itertools
import json
import math
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse as parse_votable
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus

from adql import CompiledQuery, Limits, OutputColumn, parse, to_postgres
from tap_query.errors import QueryFailedError
from tap_query.execute import Session, fetch, read_server
from tap_query.formats import (
    FORMATS,
    DocumentFacts,
    ResultStream,
    UnknownFormatError,
    find_format,
    stream_result,
)
from tap_query.formats.frames import frames_of
from tap_query.formats.packing import binary2_sql, csv_sql
from tap_query.formats.server_rows import _SHAPES, with_constants
from tap_query.metadata import read_metadata
from tapdb.errors import ValueWriteError
from tapdb.postgres.engine import checked_connection
from tapdb.votable import Field, plain_rows, write_csv, write_json, written_fields
from tapdb.votable.binary2 import encode_rows
from tapdb.votable.text import text_of
from tests.plugins.served_fixtures import COLUMNS, NAN, QUERY, REALS, expected, same
from tests.plugins.stilts_fixtures import Stilts
from tests.tap_query.test_served_types import check_astropy, check_stilts

NAMES = [one.name for one in FORMATS]
Driver = psycopg.Connection[Any]


def connected(url: sa.URL) -> Driver:
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(text, prepare_threshold=None)


@pytest.fixture
def driver(database_url: sa.URL) -> Iterator[Driver]:
    with connected(database_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def compiled(served_url: sa.URL) -> Callable[..., CompiledQuery]:
    """Return a function that translates a query for the table of all types."""
    with checked_connection(served_url, read_only=True) as connection:
        metadata, server = read_metadata(connection), read_server(connection)

    def translate(text: str, max_rows: int | None = None) -> CompiledQuery:
        return to_postgres(parse(text), metadata, Limits(max_rows=max_rows), server=server)

    return translate


@pytest.fixture(scope="module")
def served_driver(served_url: sa.URL) -> Iterator[Driver]:
    with connected(served_url) as connection:
        yield connection


def content_of(
    connection: Driver, query: CompiledQuery, form: str, *, max_rows: int | None = None, **facts: Any
) -> bytes:
    content = b"".join(stream_result(connection, query, format=find_format(form), max_rows=max_rows, **facts))
    connection.rollback()
    return content


def made(
    sql: str, *columns: OutputColumn, parameters: tuple[Any, ...] = (), types: tuple[str, ...] = ()
) -> Any:
    """Return a query that nobody has translated."""
    return CompiledQuery(sql, parameters, types, columns)


def numbers(count: int, expression: str = "n") -> Any:
    """Return a query for whole numbers and an expression of them."""
    return made(
        f"SELECT n::int, {expression} FROM generate_series(1, {count}) AS n",  # noqa: S608
        OutputColumn("n", "int"),
        OutputColumn("x", "char", "*") if "text" in expression else OutputColumn("x", "int"),
    )


def rows_of_stream(content: bytes) -> bytes:
    found = re.search(rb'<STREAM encoding="base64">(.*?)</STREAM>', content, re.DOTALL)
    assert found is not None
    return base64.b64decode(found[1])


# -- names of formats
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (None, "votable/b2"),
        (" ", "votable/b2"),
        ("votable", "votable/b2"),
        ("VOTable/B2", "votable/b2"),
        ("text/xml", "votable/b2"),
        ("application/x-votable+xml", "votable/b2"),
        ("Application/X-VOTable+XML; Serialization = BINARY2", "votable/b2"),
        ('application/x-votable+xml;version=1.4;serialization="tabledata"', "votable/td"),
        ("votable/td", "votable/td"),
        ("text/csv", "csv"),
        ("TEXT/CSV;header=present;charset=UTF-8", "csv"),
        ("text/tab-separated-values", "tsv"),
        ("application/json", "json"),
        ("application/vnd.apache.parquet", "parquet"),
        ("application/fits", "fits"),
        ("arrow", "arrow"),
    ],
)
def test_a_format_has_short_names_and_mime_types_in_any_case(text: str | None, name: str) -> None:
    assert find_format(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "votable/td2",
        "text/csv;header=absent",
        "application/x-votable+xml;serialization=FITS",
        "*/*",
        "a" * 99,
    ],
)
def test_a_format_that_there_is_not_is_refused_with_a_list_of_what_there_is(text: str) -> None:
    with pytest.raises(UnknownFormatError) as raised:
        find_format(text)
    assert all(name in str(raised.value) for name in NAMES)
    assert len(str(raised.value)) < 700


def test_each_name_means_one_format() -> None:
    for one in FORMATS:
        for name in (one.name, *one.aliases, *one.mime_types):
            assert find_format(name.upper()) is one


# -- every type in every format
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLUMNS)
def test_binary2_of_a_type_is_what_python_writes_to_the_last_bit(
    name: str, compiled: Callable[..., CompiledQuery], served_driver: Driver
) -> None:
    query = compiled(f"SELECT id, {name} FROM served.all_types ORDER BY id")  # noqa: S608
    content = content_of(served_driver, query, "votable")
    result = fetch(served_driver, query, max_rows=None)
    served_driver.rollback()
    rows = list(plain_rows(result.columns, result.rows))
    columns = written_fields(result.columns, rows)
    assert rows_of_stream(content) == b"".join(encode_rows(columns, rows))
    assert f'datatype="{columns[1].datatype}"'.encode() in content


def test_the_types_that_matter_are_written_by_the_server() -> None:
    oid = psycopg.postgres.types
    pairs = [
        (Field("a", "boolean"), oid["bool"].oid),
        (Field("b", "int"), oid["int4"].oid),
        (Field("c", "long"), oid["int8"].oid),
        (Field("d", "float"), oid["float4"].oid),
        (Field("e", "double"), oid["float8"].oid),
        (Field("f", "char", "*"), oid["text"].oid),
        (Field("g", "char", "*", "timestamp"), oid["timestamp"].oid),
        (Field("h", "double", "2", "point"), oid["float8"].array_oid),
    ]
    columns, oids = zip(*pairs, strict=True)
    assert binary2_sql("SELECT 1", columns, oids) is not None
    assert csv_sql("SELECT 1", columns, oids) is not None
    # What is no value of its column goes through Python, which says so.
    assert binary2_sql("SELECT 1", [Field("a", "int")], [oid["float8"].oid]) is None
    assert csv_sql("SELECT 1", [Field("a", "int")], [oid["text"].oid]) is None
    assert binary2_sql("SELECT 1", [Field("a", "unicodeChar", "*")], [oid["text"].oid]) is None


@pytest.mark.parametrize("form", ["votable", "votable/td"])
def test_astropy_stilts_and_votlint_read_a_votable(
    form: str,
    compiled: Callable[..., CompiledQuery],
    served_driver: Driver,
    tmp_path: Path,
    stilts: Stilts,
) -> None:
    path = tmp_path / "all.vot"
    path.write_bytes(content_of(served_driver, compiled(QUERY), form))
    check_astropy(path.read_bytes(), keeps_blanks=form == "votable")
    check_stilts(stilts, path)
    # DALI has no infinity and no years before Christ, which PostgreSQL has. votlint takes a point that is
    # NULL for one of no numbers, and cannot read polygons from a stream.
    odd = {"a_timestamp", "b_timestamp", "a_timestamptz", "b_timestamptz", "a_date", "b_date", "a_uuid"}
    odd |= {"a_spoly"} if form == "votable" else set()
    for names, condition in (
        (COLUMNS.keys() - odd - {"a_spoint", "a_scircle", "a_spoly"}, "id > 0"),
        (COLUMNS.keys() - odd, "id < 3"),
    ):
        text = f"SELECT {', '.join(sorted(names))} FROM served.all_types WHERE {condition}"  # noqa: S608
        path.write_bytes(content_of(served_driver, compiled(text), form))
        assert stilts.votable_errors(path) == []


def test_json_is_what_python_writes(compiled: Callable[..., CompiledQuery], served_driver: Driver) -> None:
    query = compiled(QUERY)
    content = content_of(served_driver, query, "json")
    result = fetch(served_driver, query, max_rows=None)
    served_driver.rollback()
    stream = io.BytesIO()
    write_json(result.columns, plain_rows(result.columns, result.rows), stream, overflow=False)
    assert json.loads(content) == json.loads(stream.getvalue())


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_csv_and_tsv_have_the_cells_that_python_writes(
    form: str, delimiter: str, compiled: Callable[..., CompiledQuery], served_driver: Driver
) -> None:
    # Without columns of an enum and of domains in arrays COPY writes all of it; with them Python.
    for names in (list(COLUMNS), [name for name in COLUMNS if name not in {"a_domains", "a_truths"}]):
        query = compiled(f"SELECT {', '.join(names)} FROM served.all_types ORDER BY id")  # noqa: S608
        content = content_of(served_driver, query, form)
        result = fetch(served_driver, query, max_rows=None)
        served_driver.rollback()
        stream = io.BytesIO()
        write_csv(names, plain_rows(result.columns, result.rows), stream)
        if form == "csv":
            assert content == stream.getvalue()
        found = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=delimiter))
        assert found == list(csv.reader(io.StringIO(stream.getvalue().decode(), newline="")))


def arrow_value(name: str, value: Any) -> Any:
    """Return a value as Arrow has it: of single precision what its bits are."""
    if isinstance(value, list):
        return [arrow_value(name, one) for one in value]
    return float(np.float32(value)) if "float4" in COLUMNS[name][0] and isinstance(value, float) else value


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_pyarrow_reads_every_value(
    form: str, compiled: Callable[..., CompiledQuery], served_driver: Driver
) -> None:
    content = content_of(served_driver, compiled(QUERY), form)
    table = (
        pq.read_table(io.BytesIO(content)) if form == "parquet" else pa.ipc.open_stream(content).read_all()
    )
    for name in COLUMNS:
        found = table.column(name).to_pylist()
        assert all(map(same, found, [arrow_value(name, one) for one in expected(name)])), (name, found)


@pytest.mark.filterwarnings("ignore:No table..len")
def test_astropy_reads_what_a_parquet_file_means(served_driver: Driver, tmp_path: Path) -> None:
    columns = (
        OutputColumn(
            "ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", description="Right <ascension> é"
        ),
        OutputColumn("name", "char", "*", utype="a:b.c"),
    )
    query = made("SELECT 1.5::float8, 'é'::text UNION ALL SELECT 2.5, NULL", *columns)
    path = tmp_path / "meaning.parquet"
    # Astropy cannot join texts of any length with their description.
    path.write_bytes(content_of(served_driver, made("SELECT 1.5::float8", columns[0]), "parquet"))
    table = Table.read(path, format="parquet.votable")
    assert str(table["ra"].unit) == "deg"
    assert table["ra"].description == "Right <ascension> é"
    assert list(table["ra"]) == [1.5]
    path.write_bytes(content_of(served_driver, query, "parquet", max_rows=1))
    facts = pq.read_schema(path)
    assert facts.field("ra").metadata[b"unit"] == b"deg"
    assert facts.metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    document = parse_votable(io.BytesIO(facts.metadata[b"IVOA.VOTable-Parquet.content"]), verify="exception")
    assert [one.name for one in document.get_first_table().fields] == ["ra", "name"]
    assert pq.read_metadata(path).metadata[b"QUERY_STATUS"] == b"OVERFLOW"


# Both ends of long are values, NULL is one of three truths, or an element of an array is NULL.
NO_FITS = {"a_int8", "a_bool", "a_bools", "a_truths", "a_shorts", "a_ints", "a_longs", "a_domains"}


def is_fits(name: str) -> bool:
    values = [one for one in expected(name) if isinstance(one, str)]
    return all(one.isascii() and one.isprintable() for one in values)


def test_astropy_and_stilts_read_every_value_of_fits(
    compiled: Callable[..., CompiledQuery], served_driver: Driver, tmp_path: Path, stilts: Stilts
) -> None:
    names = [name for name in COLUMNS if is_fits(name) and name not in NO_FITS]
    assert len(names) > 18
    query = compiled(f"SELECT {', '.join(names)} FROM served.all_types ORDER BY id")  # noqa: S608
    path = tmp_path / "all.fits"
    path.write_bytes(content_of(served_driver, query, "fits", facts=DocumentFacts(name="all types")))
    table = Table.read(path, format="fits")
    for name in names:
        for row, wanted in enumerate(expected(name)):
            found = table[name][row]
            if wanted is None:
                values = np.ma.asarray(found)
                is_masked = bool(np.all(np.ma.getmaskarray(values)))
                is_number = np.issubdtype(values.dtype, np.integer) and table[name].ndim > 1
                assert is_masked or is_number or values.size == 0 or str(found) == "", (name, found)
            elif isinstance(wanted, list):
                got = np.ma.getdata(found).tolist()
                kept = [NAN if one is None and name in REALS else one for one in wanted]
                assert len(got) == len(kept), (name, got)
                # A whole number that is NULL within an array is that of TNULL.
                pairs = zip(got, arrow_value(name, kept), strict=True)
                assert all(two is None or same(one, two) for one, two in pairs), (name, got)
            elif isinstance(wanted, str):
                assert str(found) == wanted.rstrip(" "), name
            elif isinstance(wanted, float) and math.isnan(wanted):
                assert np.ma.is_masked(found) or np.isnan(found), name
            else:
                assert same(np.ma.getdata(found).item(), arrow_value(name, wanted)), name
    done = stilts.rows(path, "fits")
    assert [row[names.index("a_int4")] for row in done] == ["-2147483648", "2147483647", ""]


def test_fits_says_what_columns_mean_and_refuses_what_it_cannot_hold_before_it_begins(
    served_driver: Driver, tmp_path: Path
) -> None:
    column = OutputColumn(
        "ra", "double", unit="deg", ucd="pos.eq.ra", description="Right ascension, é\nof it"
    )
    path = tmp_path / "meaning.fits"
    path.write_bytes(content_of(served_driver, made("SELECT 1.5::float8 WHERE FALSE", column), "fits"))
    table = Table.read(path, format="fits")
    assert (len(table), str(table["ra"].unit)) == (0, "deg")
    assert path.stat().st_size % 2880 == 0
    query = made("SELECT 'é'::text", OutputColumn("name", "char", "*"))
    result = stream_result(served_driver, query, format=find_format("fits"), max_rows=None)
    with pytest.raises(ValueWriteError, match="column name cannot be written: 'é' is not ASCII"):
        next(result)
    served_driver.rollback()
    values = "(VALUES (-9223372036854775808), (9223372036854775807), (NULL)) AS v (n)"
    query = made(f"SELECT n::bigint FROM {values}", OutputColumn("n", "long"))  # noqa: S608
    with pytest.raises(ValueWriteError, match="no number left that would stand for NULL"):
        content_of(served_driver, query, "fits")
    served_driver.rollback()
    query = made("SELECT ARRAY[1, NULL]", OutputColumn("n", "int", "*"))
    with pytest.raises(ValueWriteError, match="column n cannot be written: an element of an array is NULL"):
        content_of(served_driver, query, "fits")
    served_driver.rollback()


# -- generated rows
# ----------------------------------------------------------------------------------------------------------

DOUBLES = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1e15, 1e16, 123456.0, 5e-324, NAN])
KINDS: dict[str, tuple[OutputColumn, st.SearchStrategy[Any]]] = {
    "boolean": (OutputColumn("b", "boolean"), st.booleans()),
    "smallint": (OutputColumn("s", "short"), st.integers(-(2**15), 2**15 - 1)),
    "integer": (OutputColumn("i", "int"), st.integers(-(2**31), 2**31 - 1)),
    "bigint": (OutputColumn("l", "long"), st.integers(-(2**63), 2**63 - 1)),
    "real": (OutputColumn("f", "float"), st.floats(width=32)),
    "double precision": (OutputColumn("d", "double"), DOUBLES),
    "text": (
        OutputColumn("t", "char", "*"),
        st.text(st.characters(min_codepoint=1, max_codepoint=127))
        | st.sampled_from(["\\.", "", ",", '"', "\\N"]),
    ),
    "timestamp": (
        OutputColumn("m", "char", "*", "timestamp"),
        st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001  PostgreSQL has none here
    ),
    "double precision[]": (OutputColumn("a", "double", "*"), st.lists(st.none() | DOUBLES, max_size=4)),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Any]]]:
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=70))
    row = st.tuples(*(st.none() | KINDS[kind][1] for kind in kinds)).map(list)
    return kinds, draw(st.lists(row, min_size=1, max_size=3))


@settings(max_examples=25)
@given(tables())
def test_any_rows_are_written_by_the_server_as_by_python(
    served_driver: Driver, table: tuple[list[str], list[list[Any]]]
) -> None:
    kinds, rows = table
    places = [
        ", ".join(f"(${n})::{kind}" for n, kind in enumerate(kinds, 1 + len(kinds) * number))
        for number in range(len(rows))
    ]
    sql = " UNION ALL ".join(f"SELECT {one}" for one in places)
    columns = tuple(KINDS[kind][0] for kind in kinds)
    parameters = tuple(
        None
        if one is None
        else str(one)
        if not isinstance(one, list)
        else "{" + ",".join("NULL" if e is None else repr(e) for e in one) + "}"
        for row in rows
        for one in row
    )
    query = made(sql, *columns, parameters=parameters, types=("text",) * len(parameters))
    content = content_of(served_driver, query, "votable")
    result = fetch(served_driver, query, max_rows=None)
    served_driver.rollback()
    plain = list(plain_rows(columns, result.rows))
    assert rows_of_stream(content) == b"".join(encode_rows(written_fields(columns, plain), plain))
    cells = list(csv.reader(io.StringIO(content_of(served_driver, query, "csv").decode(), newline="")))[1:]
    for found, row in zip(cells, plain, strict=True):
        # The line of a row whose only cell is NULL is empty.
        for cell, value in zip(found or [""], row, strict=True):
            if isinstance(value, float):
                assert same(float(cell), value)
                assert cell == text_of(value).removesuffix(".0") or value.is_integer() or abs(value) > 2**53
            elif isinstance(value, list) and any(isinstance(one, float) for one in value):
                # In the middle between two doubles PostgreSQL writes one digit more than Python.
                numbers = zip(cell.split(), text_of(value).split(), strict=True)
                assert all(one == other or same(float(one), float(other)) for one, other in numbers)
            else:
                assert cell == text_of(value)
    again = pq.ParquetFile(io.BytesIO(content_of(served_driver, query, "parquet"))).read().columns
    for column, kind, values in zip(again, kinds, zip(*plain, strict=True), strict=True):
        for one, value in zip(column.to_pylist(), values, strict=True):
            assert same(one, float(np.float32(value)) if kind == "real" and value is not None else value)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), max_size=4
    ),
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**31), 2**31 - 1), max_size=3),
)
def test_constants_in_a_statement_are_the_parameters(
    served_driver: Driver, texts: list[str], values: list[float]
) -> None:
    parameters = (*texts, *values)
    types = ("text",) * len(texts) + tuple(
        "integer" if isinstance(one, int) else "double precision" for one in values
    )
    cells = [f"CAST(${n} AS {type_})" for n, type_ in enumerate(types, 1)]
    # What looks like a parameter within a name or a text is none.
    sql = "SELECT '$1', E'\\'$2', " + ", ".join([*cells, "1"]) + ' AS "a""$1"'
    query = made(sql, parameters=parameters, types=types)
    with served_driver.cursor() as cursor:
        cursor.execute(with_constants(sql, query, served_driver).replace("%", "%%").encode(), {})
        assert cursor.fetchone() == ("$1", "'$2", *parameters, 1)
    served_driver.rollback()


# -- limits, errors, the transaction
# ----------------------------------------------------------------------------------------------------------


def finished(
    connection: Driver, query: CompiledQuery, form: str, max_rows: int | None
) -> tuple[ResultStream, bytes]:
    result = stream_result(connection, query, format=find_format(form), max_rows=max_rows)
    content = b"".join(result)
    return result, content


@pytest.mark.parametrize("form", NAMES)
@pytest.mark.parametrize(("rows", "max_rows"), [(3, 2), (3, 3), (2, 0), (0, 5), (3000, 2500)])
def test_maxrec_cuts_a_result_and_says_so(form: str, rows: int, max_rows: int, driver: Driver) -> None:
    statement = f"SELECT n::int FROM generate_series(1, {rows}) AS n LIMIT {max_rows + 1}"  # noqa: S608
    query = made(statement, OutputColumn("n", "int"))
    result, content = finished(driver, query, form, max_rows)
    assert (result.count, result.overflow) == (min(rows, max_rows), rows > max_rows)
    assert result.error is None
    # Nothing had to be cancelled.
    assert driver.info.transaction_status == TransactionStatus.INTRANS
    match form:
        case "votable/b2" | "votable/td":
            document = parse_votable(io.BytesIO(content), verify="exception")
            found = list(document.get_first_table().array["n"])
            infos = [info.value for info in document.resources[0].infos]
            assert infos == (["OK", "OVERFLOW"] if result.overflow else ["OK"])
        case "json":
            shown = json.loads(content)
            found = [row[0] for row in shown["rows"]]
            assert shown["overflow"] == result.overflow
        case "csv" | "tsv":
            found = [int(line) for line in content.decode().splitlines()[1:]]
        case "parquet":
            found = pq.read_table(io.BytesIO(content)).column("n").to_pylist()
        case "arrow":
            found = pa.ipc.open_stream(content).read_all().column("n").to_pylist()
        case _:
            found = list(Table.read(io.BytesIO(content), format="fits")["n"])
    assert [int(one) for one in found] == list(range(1, min(rows, max_rows) + 1))


@pytest.mark.parametrize("form", NAMES)
def test_an_error_before_the_first_row_is_raised_before_the_first_block(form: str, driver: Driver) -> None:
    result = stream_result(driver, numbers(10, "(1 / (n - 1))::int"), format=find_format(form), max_rows=None)
    with pytest.raises(QueryFailedError, match="division by zero"):
        next(result)
    driver.rollback()
    # The connection can be used for the next one.
    assert finished(driver, numbers(3), form, None)[0].count == 3


@pytest.mark.parametrize("form", NAMES)
def test_an_error_among_the_rows_ends_the_document_with_it_or_is_raised(form: str, driver: Driver) -> None:
    query = numbers(60_000, "(1 / (n - 50000))::int")
    result = stream_result(driver, query, format=find_format(form), max_rows=None)
    if form in {"csv", "tsv", "parquet", "arrow", "fits"}:
        assert not result.format.can_say_errors
        blocks: list[bytes] = []
        with pytest.raises(QueryFailedError, match="division by zero"):
            blocks.extend(result)
        assert (sum(map(len, blocks)) > 50_000) == (form in {"csv", "tsv"}) or form in {"parquet", "arrow"}
        return
    assert result.format.can_say_errors
    content = b"".join(result)
    assert isinstance(result.error, QueryFailedError)
    assert 40_000 < result.count < 50_000
    if form == "json":
        shown = json.loads(content)
        assert "division by zero" in shown["error"]
        assert len(shown["rows"]) == result.count
    else:
        document = parse_votable(io.BytesIO(content), verify="exception")
        infos = [(info.value, info.content) for info in document.resources[0].infos]
        assert infos == [("OK", None), ("ERROR", str(result.error))]
        assert len(document.get_first_table().array) == result.count


@pytest.mark.parametrize("form", ["votable", "csv", "parquet"])
def test_bytes_do_not_depend_on_the_encoding_of_the_client(form: str, driver: Driver) -> None:
    query = made(
        "SELECT n::int, 'caf' || repeat(chr(233), n) FROM generate_series(0, 2) AS n",
        OutputColumn("n", "int"),
        OutputColumn("x", "char", "*"),
    )
    expected = content_of(driver, query, form)
    driver.execute("SET client_encoding TO latin1")
    driver.commit()
    assert content_of(driver, query, form) == expected


@pytest.mark.parametrize("source", ["generate_series(1, 20000) AS n", "t"])
def test_text_beyond_ascii_is_unicode_if_it_comes_early(driver: Driver, source: str) -> None:
    if source == "t":
        # As after an upload: what is here goes with the transaction.
        driver.execute(
            "CREATE TEMPORARY TABLE t ON COMMIT DROP AS SELECT n FROM generate_series(1, 20000) AS n"
        )
    query = made(
        f"SELECT n::int, CASE n WHEN 7 THEN '日本' ELSE 'a' END FROM {source}",  # noqa: S608
        OutputColumn("n", "int"),
        OutputColumn("x", "char", "*"),
    )
    result, content = finished(driver, query, "votable", None)
    table = parse_votable(io.BytesIO(content), verify="exception").get_first_table()
    assert (result.count, len(table.array), table.array["x"][6]) == (20000, 20000, "日本")
    assert table.fields[1].datatype == "unicodeChar"
    if source == "t":
        assert driver.execute("SELECT count(*) FROM t").fetchone() == (20000,)


@pytest.mark.parametrize("rows", [251, 999])
def test_a_result_of_few_rows_may_have_text_beyond_ascii_in_any_of_them(driver: Driver, rows: int) -> None:
    query = numbers(rows, f"CASE n WHEN {rows} THEN 'é'::text ELSE 'a' END")
    result, content = finished(driver, query, "votable", None)
    assert (result.error, result.count) == (None, rows)
    table = parse_votable(io.BytesIO(content), verify="exception").get_first_table()
    assert (len(table.array), table.array["x"][-1]) == (rows, "é")


def test_text_beyond_ascii_that_comes_late_ends_the_document_with_an_error_that_names_the_row(
    driver: Driver,
) -> None:
    query = numbers(20000, "CASE n WHEN 15000 THEN 'é'::text ELSE 'a' END")
    result, content = finished(driver, query, "votable", None)
    assert isinstance(result.error, ValueWriteError)
    assert "row 15000 cannot be written: a text is not ASCII" in str(result.error)
    document = parse_votable(io.BytesIO(content), verify="exception")
    assert [info.value for info in document.resources[0].infos] == ["OK", "ERROR"]
    # Astropy would not read such a file at all: the check is needed.
    assert all(row["x"] == "a" for row in document.get_first_table().array)
    driver.rollback()
    for form in ("votable/td", "csv", "json", "parquet"):
        assert "é".encode() in finished(driver, query, form, None)[1] or form == "parquet"
        driver.rollback()


def test_a_shape_is_prepared_when_it_comes_again_and_survives_a_rollback(driver: Driver) -> None:
    driver.execute("CREATE TEMPORARY TABLE shaped AS SELECT n::int FROM generate_series(1, 100) AS n")
    driver.commit()
    names = "SELECT name, generic_plans > 0 FROM pg_prepared_statements WHERE name LIKE 'tapdb%'"
    for number in range(1, 10):
        query = made(
            "SELECT n FROM shaped WHERE n = $1",
            OutputColumn("n", "int"),
            parameters=(number,),
            types=("integer",),
        )
        content = content_of(driver, query, "votable")
        assert rows_of_stream(content) == b"\0" + number.to_bytes(4)
        known = driver.execute(names).fetchall()
        driver.rollback()
        assert len(known) == (number > 1)
    assert known[0][1] is True
    # The type changes: one query fails, and the next one knows it.
    driver.execute("ALTER TABLE shaped ALTER n TYPE real")
    driver.commit()
    with pytest.raises(QueryFailedError, match="int4send"):
        content_of(driver, query, "votable")
    driver.rollback()
    assert rows_of_stream(content_of(driver, query, "votable")) == b"\0" + number.to_bytes(4)


DESCRIBED = {
    "int2": OutputColumn("n", "short"),
    "int4": OutputColumn("n", "int"),
    "int8": OutputColumn("n", "long"),
    "float4": OutputColumn("n", "float"),
    "float8": OutputColumn("n", "double"),
    "text": OutputColumn("n", "char", "*"),
    "timestamp": OutputColumn("n", "char", "*", "timestamp"),
    "uuid": OutputColumn("n", "char", "36", "uuid"),
    "float8[]": OutputColumn("n", "double", "*"),
    # Both are of one type in the database.
    "float8[2]": OutputColumn("n", "double", "2"),
}
VALUES = {"timestamp": "2024-02-29 12:00", "uuid": "f" * 32, "float8[]": "{1,2}", "float8[2]": "{1,2}"}


def test_a_shape_whose_columns_are_published_as_other_types_is_another_one(
    driver: Driver, database_url: sa.URL
) -> None:
    with connected(database_url) as fresh:
        for one, other in itertools.permutations(DESCRIBED, 2):
            for kind in (one, other, one, other):
                value = VALUES.get(kind, "5")
                driver.execute("CREATE SCHEMA IF NOT EXISTS changing")
                driver.execute("DROP VIEW IF EXISTS changing.seen")
                driver.execute(f"CREATE VIEW changing.seen AS SELECT '{value}'::{kind} AS n")
                driver.commit()
                query = made("SELECT n FROM changing.seen", DESCRIBED[kind])
                wanted = content_of(fresh, query, "votable")
                _SHAPES.pop(fresh)
                for _ in range(2):
                    assert content_of(driver, query, "votable") == wanted, (one, other, kind)
                assert content_of(driver, query, "csv") == content_of(fresh, query, "csv"), (one, other, kind)


def test_a_connection_on_which_psycopg_prepares_keeps_its_own_statements(database_url: sa.URL) -> None:
    with connected(database_url) as connection:
        connection.prepare_threshold = 5
        for _ in range(4):
            content_of(connection, numbers(3), "votable")
        found = connection.execute(
            "SELECT name FROM pg_prepared_statements WHERE name LIKE 'tapdb%'"
        ).fetchall()
    assert found == []


@pytest.mark.parametrize("form", ["votable", "votable/td", "csv", "parquet"])
def test_closing_a_stream_stops_its_query_at_once(form: str, driver: Driver) -> None:
    query = made(
        "SELECT n::int, CASE WHEN n > 5000 THEN pg_sleep(60)::text ELSE 'a' END"
        " FROM generate_series(1, 9000) AS n",
        OutputColumn("n", "int"),
        OutputColumn("x", "char", "*"),
    )
    result = stream_result(driver, query, format=find_format(form), max_rows=None)
    assert len(next(result)) > 0 if form != "parquet" else result.count == 0
    begin = time.monotonic()
    result.close()
    assert time.monotonic() - begin < 1
    driver.rollback()
    assert driver.execute("SELECT 1").fetchone() == (1,)


def test_a_time_limit_is_that_of_the_session(driver: Driver) -> None:
    query = made("SELECT 1 FROM pg_sleep(60)", OutputColumn("n", "int"))
    result = stream_result(
        driver, query, format=find_format(None), max_rows=None, session=Session(timeout_ms=50)
    )
    with pytest.raises(QueryFailedError) as raised:
        next(result)
    assert raised.value.fault == "time"


@pytest.mark.parametrize("form", NAMES)
def test_gzip_has_the_same_bytes_and_its_first_block_can_be_read(form: str, driver: Driver) -> None:
    query = numbers(20_000)
    plain = finished(driver, query, form, None)[1]
    driver.rollback()
    blocks = list(stream_result(driver, query, format=find_format(form), max_rows=None, gzip=True))
    assert gzip.decompress(b"".join(blocks)) == plain
    begun = zlib.decompressobj(31).decompress(blocks[0])
    assert len(begun) > 5
    assert plain.startswith(begun)


@pytest.mark.parametrize("form", ["votable", "csv", "tsv", "votable/td", "json"])
def test_the_first_rows_leave_before_the_last_ones_are_there(form: str, driver: Driver) -> None:
    query = made(
        "SELECT n::int, CASE WHEN n > 5000 THEN pg_sleep(0.4)::text ELSE 'a' END"
        " FROM generate_series(1, 5001) AS n",
        OutputColumn("n", "int"),
        OutputColumn("x", "char", "*"),
    )
    result = stream_result(driver, query, format=find_format(form), max_rows=None)
    begin = time.monotonic()
    assert next(result)
    assert result.count > 0
    assert time.monotonic() - begin < 0.35
    for _ in result:
        pass
    assert time.monotonic() - begin > 0.4
    assert result.count == 5001


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.parametrize("form", ["votable", "csv", "votable/td", "fits", "parquet", "arrow"])
def test_memory_does_not_grow_with_the_result(form: str, driver: Driver) -> None:
    text = "repeat('a', 1200)::text"
    if form == "parquet":
        # It makes the same text small.
        text = "(SELECT string_agg(md5((100 * n + m)::text), '') FROM generate_series(1, 38) AS m)::text"
    size, first = 0, 0.0
    result = stream_result(driver, numbers(40_000, text), format=find_format(form), max_rows=None)
    # A stream that is left open when this fails would keep its connection from ending.
    with closing(result):
        for block in result:
            size += len(block)
            # What a format needs for itself, such as a group of rows, it has by then.
            if size < 10_000_000:
                first = resident_mb()
            assert resident_mb() - first < 20
    assert size > 45_000_000


# -- what a document says
# ----------------------------------------------------------------------------------------------------------


def test_positions_and_times_say_their_systems(served_driver: Driver, tmp_path: Path, stilts: Stilts) -> None:
    columns = (
        OutputColumn("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main"),
        OutputColumn("pos", "double", "2", "point", "deg"),
        OutputColumn("s_region", "char", "*", "adql:REGION"),
        OutputColumn("t", "double", unit="d", utype="obscore:Char.TimeAxis.Coverage.Bounds.Limits.StartTime"),
        OutputColumn("mid", "double", unit="d", column='"midpointMjdTai"', table="ppdb.DiaSource"),
        OutputColumn("at", "char", "*", "timestamp"),
        OutputColumn("n", "int"),
    )
    systems, references = frames_of(columns)
    assert references == {
        "ra": "icrs",
        "pos": "icrs",
        "s_region": "icrs",
        "t": "utc",
        "mid": "tai",
        "at": "utc_iso",
    }
    assert {one.attributes.get("timescale") for one in systems} == {None, "UTC", "TAI"}
    query = made(
        "SELECT 1.0::float8, ARRAY[1.0,2.0]::float8[], 'CIRCLE 1 2 3', 1.0::float8, 2.0::float8,"
        " timestamp '2026-01-01', 1",
        *columns,
    )
    for form in ("votable", "votable/td"):
        path = tmp_path / "systems.vot"
        path.write_bytes(
            content_of(served_driver, query, form, facts=DocumentFacts(name="r", infos=(("a", "b"),)))
        )
        assert stilts.votable_errors(path) == []
        table = parse_votable(path, verify="exception").get_first_table()
        assert [field.ref for field in table.fields] == [
            "icrs",
            "icrs",
            "icrs",
            "utc",
            "tai",
            "utc_iso",
            None,
        ]
