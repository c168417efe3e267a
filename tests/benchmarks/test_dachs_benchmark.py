"""The comparison with DaCHS: what DaCHS is told of our relations, and which answers count as the same."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import psycopg
import pytest
import sqlalchemy as sa

from adql import STRICT, parse
from benchmarks.results_file import add_results, read_results, write_results
from benchmarks.services.dachs import (
    QUESTIONS,
    Column,
    Question,
    Reply,
    difference,
    published_columns,
    resource_descriptors,
    unexplained,
)

_SAMPLE: Mapping[str, object] = {
    "ra": 10.5,
    "dec": -2.0,
    "night": "MC_O_20250701",
    "did": "ivo://org/x?id=1",
    "t_min": 60857.25,
    "visit": 2025070100001,
    "columns": "obs_id, s_ra",
}
_ROWS = tuple((number, number / 7, f"name {number % 3}", None) for number in range(20))
_REPLY = Reply(("id", "ra", "name", "unset"), _ROWS)


def _shuffled(reply: Reply) -> Reply:
    rows = list(reply.rows)
    random.Random(14).shuffle(rows)
    return replace(reply, rows=tuple(rows))


def _changed(reply: Reply, row: int, column: int, value: object) -> Reply:
    rows = [list(one) for one in reply.rows]
    rows[row][column] = value
    return replace(reply, rows=tuple(map(tuple, rows)))


def test_each_schema_has_one_descriptor_with_every_column_under_its_name_and_type() -> None:
    columns = [
        Column("bench.target", "id", "integer", None, "meta.id", None, 'a < b & "c"'),
        Column("bench.target", "ra", "double precision", "deg", None, "", None),
        Column("ivoa.ObsCore", "registry_dataset_id", "uuid", None, None, None, None),
        Column("ivoa.ObsCore", "pgs_region", "spoly", None, None, "Char.Region", None),
        Column("ivoa.Other", "n", "bigint", None, None, None, None),
    ]
    texts = resource_descriptors(columns)
    described = {schema: fromstring(text) for schema, text in texts.items()}  # noqa: S314 - our own document
    assert {schema: element.get("schema") for schema, element in described.items()} == {
        "bench": "bench",
        "ivoa": "ivoa",
    }
    found = [
        (f"{schema}.{table.get('id')}", dict(column.attrib))
        for schema, element in described.items()
        for table in element.iter("table")
        for column in table.iter("column")
    ]
    assert found == [
        (
            "bench.target",
            {"name": "id", "type": "integer", "ucd": "meta.id", "description": 'a < b & "c"'},
        ),
        ("bench.target", {"name": "ra", "type": "double precision", "unit": "deg"}),
        ("ivoa.ObsCore", {"name": "registry_dataset_id", "type": "text"}),
        (
            "ivoa.ObsCore",
            {"name": "pgs_region", "type": "spoly", "utype": "Char.Region"},
        ),
        ("ivoa.Other", {"name": "n", "type": "bigint"}),
    ]
    made = [make.get("table") for element in described.values() for make in element.iter("make")]
    assert made == ["target", "ObsCore", "Other"]


def test_what_dachs_is_told_is_what_tap_schema_publishes_and_the_columns_of_geometry(
    served_database: sa.URL,
) -> None:
    dsn = served_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn) as connection:
        columns = published_columns(connection)
        published = connection.execute(
            "SELECT column_name FROM tap_schema.columns "
            "WHERE table_name = 'ivoa.ObsCore' ORDER BY column_index"
        ).fetchall()
    names = [column.name for column in columns if column.table == "ivoa.ObsCore"]
    assert names == [*(name for (name,) in published), "pgs_region", "pgs_center"]
    assert resource_descriptors(columns).keys() == {"ivoa"}


def test_answers_are_the_same_in_any_order_unless_the_question_says_it() -> None:
    other = _shuffled(_REPLY)
    assert difference(_REPLY, other, ordered=False) == ""
    assert difference(_REPLY, _REPLY, ordered=True) == ""
    assert difference(_REPLY, other, ordered=True).startswith("row ")


@pytest.mark.parametrize("row", [0, 7, 19])
@pytest.mark.parametrize(("column", "value"), [(0, 21), (0, None), (1, 0.5), (2, "name"), (3, 0), (3, "")])
def test_one_value_that_differs_is_seen_wherever_it_is(row: int, column: int, value: object) -> None:
    other = _changed(_REPLY, row, column, value)
    for ordered in (True, False):
        assert difference(_REPLY, other if ordered else _shuffled(other), ordered=ordered) != ""
        assert difference(other, _REPLY, ordered=ordered) != ""


def test_numbers_may_differ_in_their_last_digits_alone_also_within_an_array() -> None:
    mine = Reply(("p",), (((357.3101757492096, 89.76697475519607),), (1.0,)))
    near = Reply(("P",), (((357.31017574920935, 89.76697475519595),), (1,)))
    far = Reply(("p",), (((357.31017574920935, 89.766974755),), (1.0,)))
    short = Reply(("p",), (((357.3101757492096,),), (1.0,)))
    assert difference(mine, near, ordered=True) == ""
    assert difference(mine, far, ordered=True).startswith("row 1, p")
    assert difference(mine, short, ordered=True).startswith("row 1, p")


def test_a_row_too_many_another_name_and_a_refusal_are_differences_and_so_is_nothing_at_all() -> None:
    assert difference(_REPLY, replace(_REPLY, rows=_ROWS[:-1]), ordered=False) == "20 and 19 rows"
    assert difference(_REPLY, replace(_REPLY, names=("id", "dec", "name", "unset")), ordered=False)
    assert (
        difference(_REPLY, Reply(error="no such column"), ordered=False) == "refused: theirs: no such column"
    )
    assert difference(Reply(error="busy"), _REPLY, ordered=False) == "refused: ours: busy"
    empty = replace(_REPLY, rows=())
    assert difference(empty, empty, ordered=False) == "no rows, so that nothing is compared"


def test_only_a_difference_without_a_reason_counts(capsys: pytest.CaptureFixture[str]) -> None:
    known, unknown = (
        Question("known", "SELECT 1", reason="a fault of theirs"),
        Question("unknown", "SELECT 2"),
    )
    other = _changed(_REPLY, 3, 0, 33)
    asked = [(known, _REPLY, other), (unknown, _REPLY, other), (unknown, _REPLY, _REPLY)]
    assert unexplained(asked) == ["unknown"]
    said = capsys.readouterr().err
    assert "known: a fault of theirs: 20" not in said
    assert "unknown: NOT EXPECTED: row" in said
    assert "SELECT 2" in said
    assert "unknown: the same 20 rows" in said


@pytest.mark.parametrize("region", ["s_region", "pgs_region"])
def test_every_question_is_strict_adql_once_it_is_about_something(region: str) -> None:
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)
    for question in QUESTIONS:
        names = {name for _, name, _, _ in string.Formatter().parse(question.adql) if name}
        assert names <= _SAMPLE.keys()
        parse(question.adql.format(**_SAMPLE).format(region=region), dialect=STRICT)


def test_figures_of_one_benchmark_leave_those_of_another_where_they_are(tmp_path: Path) -> None:
    write_results("services", {"stream_ratio": 0.7, "vs_dachs_rps_ratio": 3.0}, tmp_path)
    add_results("services", {"vs_dachs_rps_ratio": 30.0}, tmp_path)
    assert read_results("services", tmp_path) == {"stream_ratio": 0.7, "vs_dachs_rps_ratio": 30.0}
    add_results("others", {"n": 1}, tmp_path)
    assert read_results("others", tmp_path) == {"n": 1}
