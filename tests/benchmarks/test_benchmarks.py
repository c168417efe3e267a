"""The benchmark of the view runs, tiny: its figures mean nothing, but all of them are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.obscore.archive import connect
from benchmarks.obscore.benchmark import PARTS, Effort, main, run, visits_of
from benchmarks.obscore.locks import Writer, longest_wait_ms
from benchmarks.obscore.plans import read_shares, rows_read
from benchmarks.obscore.questions import QUESTIONS, Question
from benchmarks.obscore.reach import REACHES
from benchmarks.obscore.timing import Stopwatch, ask_all
from benchmarks.plot import plot_growth
from benchmarks.results_file import Reach, missed, print_table, read_results, write_results
from benchmarks.services.formats import REACHES as FORMAT_REACHES
from benchmarks.services.formats import measure_formats
from benchmarks.services.over_http import REACHES as SERVICE_REACHES
from benchmarks.services.over_http import SERVER_SETTINGS, measure_service
from benchmarks.services.sia import REACHES as SIA_REACHES
from benchmarks.services.sia import measure_sia
from examples.lsstcam import MINI, Pair
from tapdb.server.ephemeral import EphemeralServer

_KEYS = {
    "join_point_ratio",
    "join_circle_ratio",
    "join_uuid_ratio",
    "join_visit_ratio",
    "in_uuid_ratio",
    "newest_ratio",
    "newest_typed_ratio",
    "cone_all_ratio",
    "cone_typed_ratio",
    "cone_all_prepared_ratio",
    "cone_typed_prepared_ratio",
    "cone_wide_prepared_ratio",
    "uuid_ratio",
    "uuid_prepared_ratio",
    "obs_id_ratio",
    "did_ratio",
    "time_ratio",
    "count_ratio",
    "group_ratio",
    "scan_ratio",
    "read_share_max",
    "find_first_ratio",
    "planning_types_ratio",
    "ingest_raw_ratio",
    "ingest_image_ratio",
    "define_visits_ratio",
    "storage_ratio",
    "upgrade_lock_ratio",
    "growth_join",
    "growth_cone",
    "growth_newest",
    "export_ratio",
    "decode_us",
}
_TINY = Effort(
    fast=2,
    slow=1,
    scans=1,
    rounds=1,
    live_rounds=1,
    geometry_rounds=1,
    exports=1,
    regions=50,
    chips=2,
    runs=6,
    types=8,
)


@pytest.mark.soak
def test_a_tiny_run_has_every_figure_and_can_be_plotted(tmp_path: Path) -> None:
    figures: dict[str, float] = {}
    run({"tiny": 1, "small": 2}, _TINY, figures, plans=tmp_path / "plans", content=MINI)
    write_results("obscore", figures, tmp_path)
    found = read_results("obscore", tmp_path)
    assert {reach.key for reach in REACHES} == _KEYS
    assert found.keys() >= _KEYS
    assert {f"{question.key}_read_share" for question in QUESTIONS} <= found.keys()
    assert all(value > 0 for key, value in found.items() if key.endswith(("_ratio", "rows")))
    assert found["rows_small"] == found["rows"] > found["rows_tiny"] > 189
    plot_growth(found, tmp_path / "growth.png")
    others = {"many_runs_cone_all_prepared_ratio", "geometry_none_define_visits_ratio", "footprint_us"}
    assert others <= found.keys()
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    plans = {path.name for path in (tmp_path / "plans").iterdir()}
    assert {"cone_all_prepared-view.txt", "count-live.txt", "join_point-table.txt"} <= plans


def test_a_plan_reads_the_rows_that_it_throws_away_and_those_of_each_repetition() -> None:
    seen = {"Relation Name": "seen", "Schema": "s", "Actual Rows": 3, "Rows Removed by Filter": 4}
    often = {"Relation Name": "often", "Schema": "s", "Actual Rows": 2, "Actual Loops": 10}
    twice: dict[str, Any] = {
        "Actual Rows": 1,
        "Actual Loops": 1,
        "Plans": [seen | {"Actual Loops": 1}, seen | {"Actual Loops": 2}, often],
    }
    assert rows_read(twice, {}) == 3 * (3 + 4)
    assert rows_read(twice | {"Plans": [often]}, {}) == 20
    assert rows_read(twice | {"Plans": [often]}, {"s.often": 4}) == 4
    assert rows_read({"Actual Rows": 1_000, "Actual Loops": 1}, {}) == 0


def test_a_writer_that_waits_for_a_lock_is_seen_to_wait(butler_pair: Pair) -> None:
    def lock() -> None:
        with connect(butler_pair.url, autocommit=False) as connection:
            connection.execute("LOCK TABLE plain.dataset IN ACCESS EXCLUSIVE MODE")
            time.sleep(0.5)

    with butler_pair.plain.butler(writeable=True) as butler:
        writer = Writer(butler, chips=2)
        assert longest_wait_ms(writer, lock) > 350
        assert longest_wait_ms(writer, lambda: time.sleep(0.1)) < 350
        assert writer.failures == 0


_SIDES = """
CREATE SCHEMA ivoa; CREATE SCHEMA butler; CREATE SCHEMA copied;
CREATE TABLE ivoa.obscore (n int); CREATE TABLE butler.obscore (n int); CREATE TABLE copied.obscore (n int);
INSERT INTO ivoa.obscore SELECT generate_series(1, 1000);
INSERT INTO butler.obscore SELECT generate_series(1, 1000);
INSERT INTO copied.obscore SELECT generate_series(1, 999);
ANALYZE
"""
_SAMPLE = {"uploaded": "uploaded_0", "rows": []}
_SOME = Question("some", "SELECT n FROM {relation} WHERE n > 10 AND n <= 15")
_LAST = Question("last", "SELECT n FROM {relation} WHERE n > 900")


def test_sides_that_do_not_answer_the_same_are_not_compared(empty_database: Callable[[], sa.URL]) -> None:
    url = empty_database()
    with connect(url) as connection:
        connection.execute(_SIDES)
    watch = Stopwatch()
    assert ask_all(url, [_SOME], [_SAMPLE], watch) == {"some": 5}
    assert {side for _, side in watch.times} == {"view", "live", "table"}
    with pytest.raises(AssertionError, match="last"):
        ask_all(url, [_LAST], [_SAMPLE], watch)
    assert ask_all(url, [_LAST], [_SAMPLE], watch, ("view", "live")) == {"last": 100}


def test_a_plan_that_reads_all_datasets_to_answer_with_five_is_seen(
    empty_database: Callable[[], sa.URL],
) -> None:
    url = empty_database()
    with connect(url) as connection:
        connection.execute(_SIDES)
    assert read_shares(url, [_SOME], _SAMPLE, 1000) == {"some_read_share": 1.0, "read_share_max": 1.0}
    with connect(url) as connection:
        connection.execute("CREATE INDEX ON ivoa.obscore (n)")
    assert read_shares(url, [_SOME], _SAMPLE, 1000) == {"some_read_share": 0.005, "read_share_max": 0.005}
    assert read_shares(url, [replace(_SOME, reads_all=True)], _SAMPLE, 1000) == {"some_read_share": 0.005}


def test_a_question_that_takes_long_is_not_repeated(empty_database: Callable[[], sa.URL]) -> None:
    url = empty_database()
    with connect(url) as connection:
        connection.execute(_SIDES)
    watch = Stopwatch()
    slow = Question("slow", "SELECT n, pg_sleep(0.1) FROM {relation} WHERE n = 1")
    samples = [_SAMPLE | {"uploaded": f"uploaded_{number}"} for number in range(5)]
    ask_all(url, [slow], samples, watch, ("view",), budget_s=0.05)
    assert len(watch.times["slow", "view"]) == 1
    ask_all(url, [_SOME], samples, watch, ("view",))
    assert len(watch.times["some", "view"]) == 5


def test_a_run_of_a_part_is_not_written_where_results_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--parts", "types"], ["--question", "newest"], ["--quick"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert "--output" in capsys.readouterr().err


def test_a_part_that_does_not_exist_is_refused_with_those_that_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--parts", "questions,joins", "--output", str(tmp_path)])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "joins is not one of" in message
    assert all(part in message for part in PARTS)


def test_a_figure_above_its_limit_or_absent_is_marked_as_missed(capsys: pytest.CaptureFixture[str]) -> None:
    reaches = (Reach("reached", 2, ""), Reach("above", 2, ""), Reach("absent", 2, ""))
    figures = {"reached": 2.0, "above": 2.1}
    assert [reach.key for reach in missed(figures, reaches)] == ["above", "absent"]
    print_table(figures, reaches)
    lines = capsys.readouterr().out.splitlines()
    assert ["MISSED" in line for line in lines] == [False, True, True, False]
    assert lines[-1] == "1 of 3 reached"


@pytest.mark.parametrize(("size", "rows"), [("10k", 10_000), ("1.1M", 1_100_000), ("500", 500)])
def test_a_size_is_read_as_rows(size: str, rows: int) -> None:
    assert visits_of(size) * 189 * 1.094 == pytest.approx(rows, rel=0.2)


@pytest.mark.soak
def test_a_tiny_run_of_the_formats_has_every_figure(database_url: sa.URL) -> None:
    url = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    figures = measure_formats(url, 3000, 1)
    assert all(figures[reach.key] > 0 for reach in FORMAT_REACHES if reach.key != "rss_growth_mb")
    assert {"stream_ratio", "csv_ratio", "parquet_rows_ratio", "rss_growth_mb"} <= figures.keys()


@pytest.mark.soak
def test_a_tiny_run_of_searches_has_every_figure(
    clone_database: Callable[[str], sa.URL], migrated_template: str, tmp_path: Path
) -> None:
    figures = measure_sia(clone_database(migrated_template), tmp_path, 3000, 2)
    assert all(figures[reach.key] > 0 for reach in SIA_REACHES)


@pytest.mark.soak
def test_a_tiny_run_of_the_service_has_every_figure(tmp_path: Path) -> None:
    # A server of its own: times of statements are measured by a library that a server loads when it starts.
    with EphemeralServer(settings=SERVER_SETTINGS) as server:
        figures = measure_service(server.url(), tmp_path, 3000, 1)
    assert all(figures[reach.key] > 0 for reach in SERVICE_REACHES if reach.key != "rss_growth_mb")
    assert {"stream_ratio", "csv_ratio", "parquet_rows_ratio", "rss_growth_mb", "taplint_s"} <= figures.keys()
