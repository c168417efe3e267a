"""Tables that arrive whole: rows that are as they were keep their version."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from ppdb_replay.cli.ppdb import ppdb
from ppdb_replay.errors import VersioningError
from ppdb_replay.versions.replace import Replaced, replace_rows
from ppdb_replay.versions.verify import verify
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, history_rows, natural_rows, newest

TABLE = "numbered_identifications"
COLUMNS = (
    "id",
    "packed_primary_provisional_designation",
    "unpacked_primary_provisional_designation",
    "permid",
    "iau_name",
)


def row(number: int, permid: str, name: str | None = None) -> tuple[object, ...]:
    return (number, f"K{number}", f"2008 A{number}", permid, name)


def test_what_differs_begins_and_ends_and_the_rest_stays(ppdb_database: sa.URL) -> None:
    first = [row(1, "1"), row(2, "2", "Pallas"), row(3, "3"), row(4, "4")]
    # 1 and 3 swap a value that has to be unique, 2 gets no name, 4 goes, 5 comes.
    second = [row(1, "3"), row(2, "2"), row(3, "1"), row(5, "5")]
    with connect(ppdb_database) as connection:
        start = newest(connection)
        assert replace_rows(connection, TABLE, COLUMNS, first) == Replaced(0, 4, 0)
        connection.commit()
        copy = natural_rows(connection, TABLE)
        assert replace_rows(connection, TABLE, COLUMNS, second) == Replaced(4, 4, 0)
        connection.commit()
        assert replace_rows(connection, TABLE, COLUMNS, second) == Replaced(0, 0, 4)
        connection.commit()
        assert newest(connection) == start + 2
        assert replace_rows(connection, TABLE, COLUMNS, [*second[:3], row(6, "6")]) == Replaced(1, 1, 3)
        connection.commit()
        assert history_rows(connection, TABLE, start + 1) == copy
        assert len(history_rows(connection, TABLE, start + 2)) == 4
        assert len(natural_rows(connection, TABLE)) == 4
        count = connection.execute("SELECT count(*) FROM ppdb_history.numbered_identifications").fetchone()
        assert count == (4 + 4 + 1,)
    with engine_connection(ppdb_database) as session:
        assert verify(session).tamperings == ()


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ("nothing", COLUMNS, "it is not versioned"),
        (TABLE, (*COLUMNS[:4], "colour"), "it has no column colour"),
        (TABLE, COLUMNS[1:], "without its key column id"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    ppdb_database: sa.URL, table: str, columns: tuple[str, ...], message: str
) -> None:
    with connect(ppdb_database) as connection, pytest.raises(VersioningError, match=message):
        replace_rows(connection, table, columns, [])


def test_the_command_reads_a_parquet_file(
    ppdb_database: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPDB_URL", ppdb_database.render_as_string(hide_password=False))
    rows = [row(1, "1"), row(2, "2", "Pallas")]
    path = tmp_path / "numbered.parquet"
    content = {name: [one[place] for one in rows] for place, name in enumerate(COLUMNS)}
    pq.write_table(pa.table(content), path)
    done = CliRunner().invoke(ppdb, ["replace", TABLE, str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "2 rows began, 0 ended, 0 are as they were" in done.output
    done = CliRunner().invoke(ppdb, ["replace", TABLE, str(path)], catch_exceptions=False)
    assert "0 rows began, 0 ended, 2 are as they were" in done.output
