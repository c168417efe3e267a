"""Arrays of several dimensions: their shape is described, published as described, and served so."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse_single_table
from click.testing import CliRunner

from tap_schema.assemble import assemble
from tap_schema.errors import ColumnFinding
from tap_schema.publish import publish
from tap_schema.rows import ColumnRow
from tapdb.cli.root import main
from tests.plugins.stilts_fixtures import Stilts

Write = Callable[..., str]

SQL = """
CREATE TABLE small.shape (
  id int PRIMARY KEY, cov float8[][], counts int8[][], pairs int[], cube float4[][][],
  free float8[][], names text[][]
);
CREATE VIEW small.seen AS SELECT id, cov FROM small.shape;
INSERT INTO small.shape VALUES
  (1, '{{1,2},{3,4},{5,6}}', '{{1,NULL},{-9223372036854775807,9223372036854775807}}', '{{1,2},{3,4}}',
   '{{{1,2},{3,4}}}', '{{1}}', '{{a}}'),
  (2, '{{NaN,NULL},{Infinity,0},{-1,5e-324}}', '{}', '{}', '{{{0,NaN},{1,2}}}', NULL, NULL);
GRANT SELECT ON small.shape, small.seen TO tapdb_reader;
"""


def file_with(felis_file: Write, **shapes: str) -> str:
    """Return a Felis file in which columns of both tables have an arraysize."""
    columns = "".join(
        f"  - {{name: {name}, datatype: {'text' if name == 'names' else 'double'}, description: An array,"
        f' "votable:datatype": {KINDS[name]}, "votable:arraysize": "{shape}"}}\n'
        for name, shape in shapes.items()
    )
    text = "name: small\ntables:\n" + "".join(
        f"- name: {table}\n  description: Arrays\n  columns:\n"
        f"  - {{name: id, datatype: int, description: Number}}\n{listed}"
        for table, listed in (("shape", columns), ("seen", "".join(columns.splitlines(keepends=True)[:1])))
    )
    return felis_file(text)


KINDS = {
    "cov": "double",
    "counts": "long",
    "pairs": "int",
    "cube": "float",
    "free": "double",
    "names": "char",
}
SHAPES = {"cov": "2x3", "counts": "2x*", "pairs": "2x*", "cube": "2x2x1"}


def published(engine: sa.Engine, *files: str) -> tuple[dict[str, ColumnRow], list[ColumnFinding]]:
    with engine.begin() as connection:
        generated = assemble(connection, files)
        publish(connection, generated.rows)
    rows = {f"{one.table_name}.{one.column_name}": one for one in generated.rows.columns}
    return rows, [one for one in generated.findings if one.table in {"small.shape", "small.seen"}]


@pytest.fixture
def shapes(small_database: sa.Engine) -> sa.Engine:
    with small_database.begin() as connection:
        connection.exec_driver_sql(SQL)
    return small_database


def test_the_shape_that_is_described_is_published_and_stays_so(shapes: sa.Engine, felis_file: Write) -> None:
    for files in ([file_with(felis_file, **SHAPES)], []):
        rows, _ = published(shapes, *files)
        found = {name: rows[f"small.shape.{name}"].arraysize for name in SHAPES}
        assert found == SHAPES
        assert rows["small.seen.cov"].arraysize == "2x3"
        assert {"small.shape.free", "small.shape.names"}.isdisjoint(rows)


def test_a_matrix_without_a_shape_is_left_out_and_a_description_is_asked_for(
    shapes: sa.Engine, felis_file: Write
) -> None:
    _, findings = published(shapes, file_with(felis_file, free="3", names="2x2"))
    left_out = {one.column.strip('"'): one for one in findings if one.rule == "unpublishable-type"}
    assert set(left_out) == {"cov", "counts", "cube", "free", "names"}
    assert left_out["free"].severity == "error"
    assert "in 2 dimensions whose shape nobody describes" in left_out["free"].problem
    assert left_out["cube"].remedy == 'describe its shape, as votable:arraysize: "3x3x3"'


def test_what_is_no_arraysize_is_an_error_with_its_line(shapes: sa.Engine, felis_file: Write) -> None:
    with shapes.begin() as connection:
        for shape in ("x3y", "2x", "x3", "2*x3", "*x3", "3,2", "2X3", "0", "01", "-1", "1"):
            for column in ("cov", "pairs"):
                generated = assemble(connection, [file_with(felis_file, **{column: shape})])
                wrong = [
                    (one.severity, one.table, one.column, shape in one.problem, one.place and one.place.line)
                    for one in generated.findings
                    if one.rule == "arraysize" and one.table == "small.shape"
                ]
                assert wrong == [("error", "small.shape", column, True, 7)]


def test_matrices_are_read_back_by_astropy_and_stilts(
    shapes: sa.Engine, felis_file: Write, stilts: Stilts, tmp_path: Path
) -> None:
    published(shapes, file_with(felis_file, **SHAPES))
    environment = {"TAPDB_URL": shapes.url.render_as_string(hide_password=False)}
    query = "SELECT cov, counts, pairs, cube FROM small.shape ORDER BY id"
    done = CliRunner(env=environment).invoke(main, ["query", "run", "--format", "votable", query])
    assert done.exit_code == 0, done.output
    table = parse_single_table(io.BytesIO(done.stdout_bytes)).array
    np.testing.assert_array_equal(table["cov"][0], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(
        np.ma.filled(table["cov"][1], np.nan), [[np.nan, np.nan], [np.inf, 0], [-1, 5e-324]]
    )
    first = np.ma.masked_array(table["counts"][0])
    assert first.shape == (2, 2)
    assert (first[0, 0], first[1, 0], first[1, 1]) == (1, -(2**63) + 1, 2**63 - 1)
    np.testing.assert_array_equal(table["pairs"][0], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(table["cube"][0], [[[1, 2], [3, 4]]])
    path = tmp_path / "shapes.vot"
    path.write_bytes(done.stdout_bytes)
    assert stilts.votable_errors(path) == []
    assert stilts.rows(path)[0][0] == "((1.0, 2.0), (3.0, 4.0), (5.0, 6.0))"
