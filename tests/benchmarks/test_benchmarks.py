"""The benchmark of the view runs, tiny: its figures mean nothing, but all of them are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.obscore.benchmark import Effort, run, visits_of
from benchmarks.obscore.reach import REACHES
from benchmarks.plot import plot_growth
from benchmarks.results_file import Reach, missed, print_table, read_results, write_results
from examples.lsstcam import MINI

_KEYS = [
    "cone_typed_ratio",
    "cone_typed_prepared_ratio",
    "cone_all_ratio",
    "cone_all_prepared_ratio",
    "cone_wide_prepared_ratio",
    "uuid_ratio",
    "uuid_prepared_ratio",
    "did_ratio",
    "obs_id_ratio",
    "time_ratio",
    "count_ratio",
    "scan_ratio",
    "storage_ratio",
    "ingest_raw_ratio",
    "ingest_image_ratio",
    "define_visits_ratio",
    "export_ratio",
    "decode_us",
]
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
)


def test_a_tiny_run_has_every_figure_and_can_be_plotted(tmp_path: Path) -> None:
    figures = run({"tiny": 1, "small": 2}, _TINY, tmp_path / "plans", MINI)
    write_results("obscore", figures, tmp_path)
    found = read_results("obscore", tmp_path)
    assert [reach.key for reach in REACHES] == _KEYS
    assert set(_KEYS) <= found.keys()
    assert all(value > 0 for key, value in found.items() if key.endswith(("_ratio", "_ms", "rows")))
    assert found["rows_small"] == found["rows"] > found["rows_tiny"] > 189
    plot_growth(found, tmp_path / "growth.png")
    others = {"many_runs_cone_all_prepared_ratio", "geometry_index_define_visits_ratio", "footprint_us"}
    assert others <= found.keys()
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    plans = {path.name for path in (tmp_path / "plans").iterdir()}
    assert {"cone_all_prepared-view.txt", "count-live.txt"} <= plans


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
