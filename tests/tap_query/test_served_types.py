"""Each type that TAP_SCHEMA publishes is served in each format: NULL, extremes, nesting, any character.

Files are read back by astropy, STILTS and Python's own readers of CSV and JSON. What is expected stands here,
or is what PostgreSQL itself says.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse_single_table
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from adql import parse, to_postgres
from tap_query.execute import fetch, read_server
from tap_query.metadata import read_metadata
from tap_schema.column_types import _TYPES
from tapdb.cli.root import main
from tapdb.postgres.engine import checked_connection, create_engine, driver_connection
from tapdb.votable import Document, Field, plain_rows, write_votable, written_fields
from tapdb.votable.fields import field_identifiers
from tests.plugins.served_fixtures import COLUMNS, NAN, QUERY, REALS, expected, same
from tests.plugins.stilts_fixtures import Stilts

Served = Callable[..., Result]


@pytest.fixture
def served(served_url: sa.URL) -> Served:
    """Return a function that runs a query and returns what was printed."""
    text = served_url.render_as_string(hide_password=False)

    def run(query: str, form: str, *options: str) -> Result:
        arguments = ["query", "run", "--format", form, *options, query]
        return CliRunner(env={"TAPDB_URL": text}).invoke(main, arguments)

    return run


def test_every_published_type_is_tested_and_what_no_format_can_hold_is_not_published(
    served_url: sa.URL,
) -> None:
    tested = {kind.partition("(")[0].strip("[]") for kind, _, _ in COLUMNS.values()}
    assert {"bpchar" if kind == "char" else kind for kind in tested} >= set(_TYPES)
    with checked_connection(served_url) as connection:
        query = "SELECT column_name FROM tap_schema.columns WHERE table_name = 'served.all_types'"
        published = set(connection.exec_driver_sql(query).scalars())
    assert published == {"id", *COLUMNS}


def test_json_has_every_value(served: Served) -> None:
    done = served(QUERY, "json")
    assert done.exit_code == 0, done.output

    def no_number(text: str) -> None:
        raise AssertionError(text)

    rows = json.loads(done.stdout, parse_constant=no_number)["rows"]

    def finite(value: Any) -> Any:
        if isinstance(value, list):
            return [finite(one) for one in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    for place, name in enumerate(COLUMNS):
        found = [row[place] for row in rows]
        assert all(map(same, found, [finite(one) for one in expected(name)])), (name, found)


def test_csv_has_every_value_and_the_table_shows_it(served: Served) -> None:
    done = served(QUERY, "csv")
    assert done.exit_code == 0, done.output
    names, *rows = csv.reader(io.StringIO(done.stdout_bytes.decode(), newline=""))
    assert names == list(COLUMNS)

    def text(value: Any) -> str:
        if isinstance(value, list):
            return " ".join("null" if one is None else text(one) for one in value)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, float):
            return json.dumps(value)
        return "" if value is None else str(value)

    for place, name in enumerate(COLUMNS):
        found = [row[place] for row in rows]
        if name not in {"a_spoint", "a_scircle", "a_spoly"}:
            assert found == [text(one) for one in expected(name)], name
    table = served("SELECT a_text, a_json, a_bools FROM served.all_types ORDER BY id", "table")
    assert table.exit_code == 0, table.output
    assert "[bold]c" in table.stdout
    assert "true null false" in table.stdout
    shown = done.stdout + table.stdout
    assert not any(word in shown for word in ("None", "True", "datetime", "Decimal", "UUID(", "b'"))


def single(value: Any, name: str) -> Any:
    """Return a number as the bits that a column of single precision has."""
    return float(np.float32(value)) if "float4" in COLUMNS[name][0] and isinstance(value, float) else value


def elements(found: Any, mask: Any, name: str) -> list[Any]:
    """Return the elements of an array as astropy has read it; NULL is NaN in an array of real numbers."""
    values = np.ma.MaskedArray(np.ma.getdata(found), np.ma.getmaskarray(np.ma.asarray(found)) | mask).tolist()
    return [NAN if one is None and name in REALS else single(one, name) for one in values]


def check_astropy(content: bytes, *, keeps_blanks: bool) -> None:
    """Compare a VOTable with what is expected, as astropy reads it without a warning."""
    array = parse_single_table(io.BytesIO(content), verify="exception").array
    for name in COLUMNS:
        for row, wanted in enumerate(expected(name)):
            found, mask = array[name].data[row], array[name].mask[row]
            if isinstance(wanted, list):
                nulls = [NAN if one is None and name in REALS else single(one, name) for one in wanted]
                assert same(elements(found, mask, name), nulls), (name, row, found, mask)
            elif wanted is None:
                # astropy takes a text that is NULL for an empty one.
                assert np.all(mask) or (array[name].dtype == object and len(found) == 0), (name, mask)
            elif isinstance(wanted, str):
                # Of the text of an element astropy takes the blanks around it away.
                assert str(found) == (wanted if keeps_blanks else wanted.strip(" ")), (name, row)
            else:
                assert same(found.item(), single(wanted, name)), (name, row, found)


def check_stilts(stilts: Stilts, path: Path) -> None:
    """Compare a VOTable with what is expected, as STILTS reads it."""
    rows = stilts.rows(path)
    for place, name in enumerate(COLUMNS):
        for row, wanted in zip(rows, expected(name), strict=True):
            found = row[place]
            if isinstance(wanted, bool):
                assert found == str(wanted).lower(), name
            elif isinstance(wanted, int):
                assert int(found) == wanted, name
            elif isinstance(wanted, str):
                assert found == wanted.rstrip(" ") or found == wanted, name
            elif isinstance(wanted, float):
                number = single(float(found or "nan"), name)
                assert same(number, single(wanted, name)), name
            elif wanted is None:
                assert found == "", name
            elif wanted and name in {"a_bytea", "a_spoint", "a_longs", "a_domains"}:
                values = found.strip("()").split(",")
                assert len(values) == len(wanted), (name, found)


def test_astropy_and_stilts_read_every_value_of_tabledata(
    served: Served, tmp_path: Path, stilts: Stilts
) -> None:
    path = tmp_path / "all.vot"
    done = served(QUERY, "votable", "-o", str(path))
    assert done.exit_code == 0, done.output
    assert b"<TABLEDATA>" in path.read_bytes()
    check_astropy(path.read_bytes(), keeps_blanks=False)
    check_stilts(stilts, path)


def test_astropy_and_stilts_read_every_value_of_binary2(
    served_url: sa.URL, tmp_path: Path, stilts: Stilts
) -> None:
    with checked_connection(served_url, read_only=True) as connection:
        compiled = to_postgres(parse(QUERY), read_metadata(connection), server=read_server(connection))
        result = fetch(driver_connection(connection), compiled, max_rows=10)
    rows = list(plain_rows(result.columns, result.rows))
    for known in (rows, None):
        path = tmp_path / "all.vot"
        with path.open("wb") as stream:
            document = Document(columns=written_fields(result.columns, known))
            write_votable(document, rows, stream, serialization="BINARY2")
        check_astropy(path.read_bytes(), keeps_blanks=True)
        check_stilts(stilts, path)


def test_ids_of_fields_are_those_of_tap_schema_for_astropy_and_stilts(
    served: Served, served_url: sa.URL, tmp_path: Path, stilts: Stilts
) -> None:
    ids = sa.text("SELECT column_name, column_id FROM tap_schema.columns11 WHERE table_name = :table")
    with checked_connection(served_url) as connection:
        wanted = {tuple(row) for row in connection.execute(ids, {"table": "served.all_types"})}
    path = tmp_path / "ids.vot"
    done = served("SELECT * FROM served.all_types", "votable", "-o", str(path))
    assert done.exit_code == 0, done.output
    fields = parse_single_table(path, verify="exception").fields
    assert {(field.name, field.ID) for field in fields} == wanted
    assert stilts.identifiers(path) == [field.ID for field in fields]


def test_a_further_use_of_a_column_has_an_id_of_its_own_in_each_format(
    served: Served, tmp_path: Path, stilts: Stilts
) -> None:
    query = "SELECT id AS a, a_int2 + 1 AS c, id AS b, id, q.n FROM served.all_types, (SELECT id AS n FROM"
    query += " served.all_types WHERE id = 1) AS q"
    path = tmp_path / "ids.vot"
    done = served(query, "votable", "-o", str(path))
    assert done.exit_code == 0, done.output
    fields = parse_single_table(path, verify="exception").fields
    one = "served_all_types_id"
    wanted = [one, None, f"{one}_2", f"{one}_3", f"{one}_4"]
    assert [field.ID for field in fields if field.name != "c"] == [known for known in wanted if known]
    assert stilts.identifiers(path) == [known or "" for known in wanted]
    assert stilts.votable_errors(path) == []
    columns = json.loads(served(query, "json").stdout)["columns"]
    assert [column.get("id") for column in columns] == wanted
    # A control: STILTS sees an ID that comes twice.
    path.write_bytes(path.read_bytes().replace(f'ID="{one}_2"'.encode(), f'ID="{one}"'.encode()))
    assert stilts.votable_errors(path) != []


IDS = st.sampled_from((None, "a", "a_2", "a_2_2", "a_3", "column_2", "column_3", "column_2_2"))


@given(st.lists(st.tuples(st.sampled_from("ab"), IDS), max_size=8), st.sets(IDS.filter(bool)))
def test_ids_of_a_document_are_unique_and_the_first_use_keeps_its_own(
    given_columns: list[tuple[str, str | None]], taken: set[str]
) -> None:
    columns = [Field(name, "int", identifier=identifier) for name, identifier in given_columns]
    found = field_identifiers(columns, taken)
    known = [one for one in found if one is not None]
    assert len({*known, *taken}) == len(known) + len(taken)
    for place, (name, identifier) in enumerate(given_columns):
        before = given_columns[:place]
        if identifier is None:
            assert (found[place] is None) == (name not in {other for other, _ in before})
        elif identifier not in taken and identifier not in {other for _, other in before}:
            assert found[place] == identifier


def test_a_printed_time_finds_its_row_again(served: Served) -> None:
    moments = "a_timestamp, CAST(a_timestamp AS VARCHAR(40)), a_timestamp || ''"
    done = served(f"SELECT {moments} FROM served.all_types WHERE id = 2", "csv")  # noqa: S608
    assert done.exit_code == 0, done.output
    (row,) = list(csv.reader(io.StringIO(done.stdout)))[1:]
    assert row == ["2024-01-01T03:00:00.123457"] * 3
    again = served(f"SELECT id FROM served.all_types WHERE a_timestamp = '{row[0]}'", "csv")  # noqa: S608
    assert again.stdout.splitlines() == ["id", "2"]
    moments = "CAST(a_timestamp AS VARCHAR(40)) AS a, b_timestamp || '' AS b"
    odd = served(f"SELECT {moments} FROM served.all_types WHERE id = 1", "csv")  # noqa: S608
    assert odd.stdout.splitlines() == ["a,b", "infinity,0044-03-15T00:00:00 BC"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "a_ints = '{-2147483648}'",
            "column a_ints cannot be written: -2147483648 within an array stands for NULL",
        ),
        (
            "a_ints = '{{1,2},{3,4}}'",
            "column a_ints cannot be written: [[1, 2], [3, 4]] is no int[*]: it has more dim",
        ),
        ("a_text = E'a\\x01'", "column a_text cannot be written: character U+0001 at 2"),
    ],
)
def test_what_a_votable_cannot_hold_is_refused_in_one_line_that_names_the_column(
    change: str, problem: str, served: Served, served_url: sa.URL
) -> None:
    engine = create_engine(served_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO served.all_types (id) VALUES (9)")
        connection.exec_driver_sql(f"UPDATE served.all_types SET {change} WHERE id = 9")  # noqa: S608
    done = served("SELECT a_ints, a_text FROM served.all_types WHERE id = 9", "votable")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM served.all_types WHERE id = 9")
    engine.dispose()
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {problem}")
    assert len(done.stderr.splitlines()) == 1
